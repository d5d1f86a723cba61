namespace DatFs.Wire;

/// <summary>The low four bits of a frame's header (wire-protocol.md §2.3).</summary>
internal enum FrameType : byte
{
    Feed = 0,
    Handshake = 1,
    Info = 2,
    Have = 3,
    Unhave = 4,
    Want = 5,
    Unwant = 6,
    Request = 7,
    Cancel = 8,
    Data = 9,
    Extension = 15,
}
