namespace DatFs.Replication;

/// <summary>One bound on what peers may take (wire-protocol.md §9.1, hypercore.md §18).</summary>
/// <param name="Name">Short name, the same for ever.</param>
/// <param name="Scope">"peer": each peer has it for itself, and use is that of whoever uses most; "all": for all together.</param>
/// <param name="Unit">"bytes", "count", "per second" or "seconds".</param>
/// <param name="Limit">What is allowed.</param>
/// <param name="Used">What is used now; 0 for bounds on single messages.</param>
/// <param name="Peak">The most that was used so far.</param>
/// <param name="Refused">How often it was exceeded, and a peer let go or a connection refused for it.</param>
public sealed record BudgetLine(string Name, string Scope, string Unit, long Limit, long Used, long Peak, long Refused);
