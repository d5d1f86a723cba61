using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace DatFs.Crypto;

/// <summary>
/// The few functions of libsodium that the protocols need and no managed package offers. All are pure and short, so the
/// collector transition is skipped where a call is bounded by a block.
/// </summary>
internal static unsafe partial class Sodium
{
    private const string Library = "libsodium";

    static Sodium()
    {
        if (sodium_init() < 0) throw new InvalidOperationException("libsodium could not be initialised");
    }

    [LibraryImport(Library)]
    [UnmanagedCallConv(CallConvs = [typeof(CallConvCdecl)])]
    private static partial int sodium_init();

    [LibraryImport(Library)]
    [UnmanagedCallConv(CallConvs = [typeof(CallConvCdecl)])]
    public static partial int crypto_generichash(byte* output, nuint outputLength, byte* message, ulong messageLength, byte* key, nuint keyLength);
}
