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

    /// <summary>Upper bound of crypto_generichash_statebytes(), which wants 64-byte alignment.</summary>
    public const int GenericHashStateSize = 384;

    [LibraryImport(Library)]
    [UnmanagedCallConv(CallConvs = [typeof(CallConvCdecl)])]
    public static partial int crypto_generichash_init(byte* state, byte* key, nuint keyLength, nuint outputLength);

    [LibraryImport(Library)]
    [UnmanagedCallConv(CallConvs = [typeof(CallConvCdecl)])]
    public static partial int crypto_generichash_update(byte* state, byte* message, ulong messageLength);

    [LibraryImport(Library)]
    [UnmanagedCallConv(CallConvs = [typeof(CallConvCdecl)])]
    public static partial int crypto_generichash_final(byte* state, byte* output, nuint outputLength);

    [LibraryImport(Library)]
    [UnmanagedCallConv(CallConvs = [typeof(CallConvCdecl)])]
    public static partial nuint crypto_generichash_statebytes();

    [LibraryImport(Library)]
    [UnmanagedCallConv(CallConvs = [typeof(CallConvCdecl)])]
    public static partial int crypto_kdf_derive_from_key(byte* subkey, nuint subkeyLength, ulong subkeyId, byte* context, byte* key);

    [LibraryImport(Library)]
    [UnmanagedCallConv(CallConvs = [typeof(CallConvCdecl)])]
    public static partial int crypto_shorthash(byte* output, byte* message, ulong messageLength, byte* key);
}
