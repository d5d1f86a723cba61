using Microsoft.Extensions.Logging;

namespace DatMount.Simulation;

/// <summary>What the library says of itself becomes part of the trace.</summary>
internal sealed class TraceLogger(Machine machine) : ILogger
{
    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        machine.Say($"log {formatter(state, exception)}{(exception is null ? "" : $" [{exception.GetType().Name}: {exception.Message}]")}");
}
