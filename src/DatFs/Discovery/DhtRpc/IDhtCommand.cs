using DatFs.Discovery.Kademlia;

namespace DatFs.Discovery.DhtRpc;

/// <summary>A request for a command of one's own.</summary>
/// <param name="Message">What was asked, with a target. An update's token was found valid.</param>
/// <param name="From">Who asked.</param>
/// <param name="Verified">He is known to be there: his address is not forged.</param>
internal readonly record struct DhtRequest(DhtRpcMessage Message, Ipv4Peer From, bool Verified);

/// <summary>What a command of one's own answers.</summary>
/// <param name="Value">The value.</param>
/// <param name="Closer">Nodes that are told first, before those of the table, as far as there is room.</param>
internal sealed record DhtAnswer(byte[] Value, IReadOnlyList<Contact> Closer);

/// <summary>A command that a node understands besides those of the network. Called by any thread, while none of the node's locks is held.</summary>
internal interface IDhtCommand
{
    /// <summary>Name of the command.</summary>
    string Name { get; }

    /// <summary>True when the request itself proves that it comes from somebody who is answered far more than a stranger.</summary>
    bool IsProven(DhtRpcMessage request);

    /// <summary>Answers a request; null = as if the command was not known.</summary>
    DhtAnswer? Answer(DhtRequest request);
}
