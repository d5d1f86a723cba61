using DatFs.Evidence;
using FluentAssertions;

namespace DatFs.Unit;

/// <summary>Tests of the file system over a drive in memory; nothing of the drive may be held when one ends.</summary>
public abstract class FakeDriveTests : IAsyncDisposable
{
    protected FakeDrive Drive { get; } = new();

    public async ValueTask DisposeAsync()
    {
        Drive.OpenLeases.Should().Be(0, "every lease was given back");
        Drive.Observers.Should().Be(0, "every file system has left");
        await Drive.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    /// <summary>The answer of a call that must not wait.</summary>
    protected static T AtOnce<T>(ValueTask<T> call)
    {
        Task<T> task = call.AsTask();
        task.IsCompletedSuccessfully.Should().BeTrue("what is held is answered without waiting");
        return task.Result;
    }
}
