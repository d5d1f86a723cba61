using DatMount.Faults;
using Xunit;
using Xunit.Sdk;
using Xunit.v3;

[assembly: AssemblyFixture(typeof(Figures))]
[assembly: Parallelization(Mode = ParallelMode.None)]
