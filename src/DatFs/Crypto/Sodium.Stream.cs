using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace DatFs.Crypto;

/// <summary>The stream cipher's part of libsodium (wire-protocol.md §3.3, §8.4).</summary>
internal static unsafe partial class Sodium
{
    [LibraryImport(Library)]
    [UnmanagedCallConv(CallConvs = [typeof(CallConvCdecl)])]
    public static partial int crypto_core_hsalsa20(byte* output, byte* input, byte* key, byte* constant);

    /// <summary>Bulk: as long as a whole block, so the collector must be able to run beside it.</summary>
    [LibraryImport(Library)]
    [UnmanagedCallConv(CallConvs = [typeof(CallConvCdecl)])]
    public static partial int crypto_stream_salsa20_xor_ic(byte* output, byte* input, ulong length, byte* nonce, ulong block, byte* key);

    /// <summary>The same function for a few kilobytes, without the collector transition.</summary>
    [LibraryImport(Library, EntryPoint = "crypto_stream_salsa20_xor_ic")]
    [UnmanagedCallConv(CallConvs = [typeof(CallConvCdecl)])]
    [SuppressGCTransition]
    public static partial int crypto_stream_salsa20_xor_ic_short(byte* output, byte* input, ulong length, byte* nonce, ulong block, byte* key);
}
