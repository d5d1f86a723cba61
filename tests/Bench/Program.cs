using DatFs.Bench;

return await BenchProgram.RunAsync(args);
