using DatFs.BenchPeer;

return args switch
{
    ["serve", var drive, var storage] => await Replication.ServeAsync(drive, storage),
    ["clone", var key, var storage, var port, var version, var blocks] =>
        await Replication.CloneAsync(key, storage, Amount.Parse(port), Amount.Parse(version), Amount.Parse(blocks)),
    ["create", var target, var from] => await Creation.RunAsync(target, from),
    _ => 2,
};
