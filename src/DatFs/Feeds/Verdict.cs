namespace DatFs.Feeds;

/// <summary>
/// What the verifier decided about a proof, and what to store when it is believed: all of it or nothing (hypercore.md §12 step 7).
/// </summary>
/// <param name="Outcome">Accepted, AcceptedLonger, AlreadyHeld (a hash-only answer that taught nothing), Rejected or Forked.</param>
/// <param name="Reason">Why it was refused; null when it was not.</param>
/// <param name="Store">Nodes to store and to set tree bits for, none of them held yet; null when refused.</param>
/// <param name="ClaimedLength">The length whose roots were authenticated, 0 when the proof linked to trusted nodes. Raises the feed's length only with AcceptedLonger.</param>
/// <param name="ClaimedByteLength">Sum of the sizes of those roots.</param>
/// <param name="StoreSignature">The proof's signature belongs into the slot of <paramref name="ClaimedLength"/>.</param>
/// <param name="ProvisionalPair">Parent of two leaves whose sizes are only the peer's word from now on, -1 when there is none (§12.6).</param>
/// <param name="Correct">Held leaves whose provisional size is now certain: to be overwritten, and no longer provisional; null when there is none.</param>
internal readonly record struct Verdict(
    ProofOutcome Outcome,
    string? Reason,
    List<TreeNode>? Store,
    long ClaimedLength,
    long ClaimedByteLength,
    bool StoreSignature,
    long ProvisionalPair,
    List<TreeNode>? Correct)
{
    /// <summary>True when something is to be stored, if only the block.</summary>
    public bool IsAccepted => Outcome is ProofOutcome.Accepted or ProofOutcome.AcceptedLonger;

    /// <summary>Not believed; the peer or the wire is at fault.</summary>
    public static Verdict Reject(string reason) => new(ProofOutcome.Rejected, reason, null, 0, 0, false, -1, null);

    /// <summary>Validly signed for a length, and in contradiction to what was verified before.</summary>
    public static Verdict Fork(string reason, long claimedLength) => new(ProofOutcome.Forked, reason, null, claimedLength, 0, false, -1, null);
}
