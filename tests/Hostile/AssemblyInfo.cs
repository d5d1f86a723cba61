using DatMount.Hostile;
using Xunit;

[assembly: AssemblyFixture(typeof(Report))]
