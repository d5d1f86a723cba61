using DatFs.BenchPeer;

return args switch
{
    ["serve", var drive, var storage] => await Replication.ServeAsync(drive, storage),
    ["clone", var key, var storage, var port, var version, var blocks] =>
        await Replication.CloneAsync(key, storage, Amount.Parse(port), Amount.Parse(version), Amount.Parse(blocks)),
    ["create", var target, var from] => await Creation.RunAsync(target, from),
    ["database", "make", var writers, var keys] => await DatabaseWork.MakeAsync((int)Amount.Parse(writers), (int)Amount.Parse(keys)),
    ["database", "clone", var key, var port, var blocks, var keys] => await DatabaseWork.CloneAsync(key, (int)Amount.Parse(port), Amount.Parse(blocks), (int)Amount.Parse(keys)),
    ["database", "authorize", var count] => await DatabaseWork.AuthorizeAsync((int)Amount.Parse(count)),
    _ => 2,
};
