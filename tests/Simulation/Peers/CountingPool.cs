using System.Buffers;

namespace DatMount.Simulation;

/// <summary>Memory for blocks, counted: what was read must be given back, and never twice.</summary>
internal sealed class CountingPool(World world) : MemoryPool<byte>
{
    /// <summary>Leases that are out.</summary>
    public int Leased { get; private set; }

    public override int MaxBufferSize => Shared.MaxBufferSize;

    public override IMemoryOwner<byte> Rent(int minBufferSize = -1)
    {
        Leased++;
        return new Lease(this, Shared.Rent(minBufferSize));
    }

    protected override void Dispose(bool disposing)
    {
    }

    private void Return(bool again)
    {
        world.Check(!again, $"a lease was given back twice:\n{Environment.StackTrace}");
        Leased--;
    }

    private sealed class Lease(CountingPool pool, IMemoryOwner<byte> memory) : IMemoryOwner<byte>
    {
        private bool _returned;

        public Memory<byte> Memory => _returned ? throw new ObjectDisposedException(nameof(Lease)) : memory.Memory;

        public void Dispose()
        {
            pool.Return(_returned);
            if (!_returned)
            {
                // What somebody goes on reading must not look right by chance.
                memory.Memory.Span.Fill(0xDB);
                memory.Dispose();
            }

            _returned = true;
        }
    }
}
