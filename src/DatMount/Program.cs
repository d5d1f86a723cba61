using DatMount.Commands;

return await CommandLine.RunAsync(args, CancellationToken.None);
