using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace OrleansCache.Protocol.Meta;

/// <summary>The commands of the meta protocol.</summary>
public enum MetaVerb : byte
{
    None = 0,

    /// <summary>mg</summary>
    Get,

    /// <summary>ms</summary>
    Set,

    /// <summary>md</summary>
    Delete,

    /// <summary>ma</summary>
    Arithmetic,

    /// <summary>mn</summary>
    NoOp,

    /// <summary>me</summary>
    Debug,
}

/// <summary>Flags of a meta command that change what it does, and where those stand that take effect in the order of the line.</summary>
[Flags]
public enum MetaFlags : uint
{
    None = 0,

    /// <summary>b: the key came in base64.</summary>
    BinaryKey = 1 << 0,

    /// <summary>v</summary>
    Value = 1 << 1,

    /// <summary>q</summary>
    Quiet = 1 << 2,

    /// <summary>u: the read leaves no trace.</summary>
    NoUpdate = 1 << 3,

    /// <summary>T</summary>
    Touch = 1 << 4,

    /// <summary>N</summary>
    Create = 1 << 5,

    /// <summary>R</summary>
    Recache = 1 << 6,

    /// <summary>C</summary>
    CompareCas = 1 << 7,

    /// <summary>E</summary>
    ExplicitCas = 1 << 8,

    /// <summary>I</summary>
    Invalidate = 1 << 9,

    /// <summary>x</summary>
    DropValue = 1 << 10,

    /// <summary>t</summary>
    ReturnTtl = 1 << 11,

    /// <summary>t stands behind T, so that it shows what T sets; before it, what was set.</summary>
    TtlBehindTouch = 1 << 12,

    /// <summary>t stands behind N.</summary>
    TtlBehindCreate = 1 << 13,

    /// <summary>R stands behind T: it looks at what T sets.</summary>
    RecacheBehindTouch = 1 << 14,

    /// <summary>N stands behind T: a created item keeps what N says.</summary>
    CreateBehindTouch = 1 << 15,
}

/// <summary>One parsed meta command. The spans point into the line, or the key into the buffer for decoded keys; valid as long as those are.</summary>
public ref struct MetaCommand
{
    public MetaVerb Verb;
    public MetaFlags Flags;

    /// <summary>ms and ma: what M asks for.</summary>
    public CacheOperation Operation;

    /// <summary>1 to <see cref="Limits.KeyBytesMax"/> bytes, decoded; empty for mn.</summary>
    public ReadOnlySpan<byte> Key;

    /// <summary>The token of O, its letter included, or empty.</summary>
    public ReadOnlySpan<byte> Opaque;

    /// <summary>What the reply shows, in the order of the line; see <see cref="MetaReturns"/>.</summary>
    public MetaReturns Returns;

    /// <summary>F</summary>
    public uint ClientFlags;

    /// <summary>ms: bytes of the data block without its CRLF.</summary>
    public int ValueLength;

    /// <summary>The arguments of T, N and R, as the client gave them.</summary>
    public int Exptime, CreateExptime, RecacheExptime;

    /// <summary>C, E, D (1 if there is none), J.</summary>
    public ulong CompareCas, NewCas, Delta, InitialValue;

    /// <summary>Of a refused command: the whole reply, CRLF included. Constant bytes that outlive the input.</summary>
    public ReadOnlySpan<byte> ErrorLine;

    /// <summary>Of a refused command: bytes of the data block that follow and are to be swallowed (CRLF included), 0 if none.</summary>
    public long SwallowBytes;

    /// <summary>Of a refused command: the value is too large; the former value under <see cref="Key"/> goes too.</summary>
    public bool DeleteKeyOnError;

    public readonly bool Has(MetaFlags flag) => (Flags & flag) != 0;
}

/// <summary>What a reply shows, in order: up to 16 letters in four bits each, the first in the lowest.</summary>
public struct MetaReturns
{
    internal const uint Size = 1, Ttl = 2, Cas = 3, ClientFlags = 4, LastAccess = 5, Fetched = 6, Opaque = 7, Key = 8;

    private const int BitsEach = 4;

    private ulong _codes;
    private int _bits;

    internal void Add(uint code)
    {
        _codes |= (ulong)code << _bits;
        _bits += BitsEach;
    }

    /// <summary>Takes the next; 0 at the end.</summary>
    internal uint Take()
    {
        uint code = (uint)_codes & ((1 << BitsEach) - 1);
        _codes >>= BitsEach;
        return code;
    }

    /// <summary>The letters of the flags.</summary>
    public override readonly string ToString()
    {
        string letters = "";
        MetaReturns rest = this;
        for (uint code; (code = rest.Take()) != 0;)
            letters += "?stcflhOk"[(int)code];
        return letters;
    }
}

/// <summary>
/// What of a meta command its reply needs, for as long as the reply is awaited: of bounded size and without references, so that its owner can hold it by
/// value. (The key stands beside it.)
/// </summary>
public struct MetaReplyForm
{
    private OpaqueBytes _opaque;
    private byte _opaqueLength;

    public MetaReplyForm(in MetaCommand command)
    {
        Verb = command.Verb;
        Flags = command.Flags;
        Returns = command.Returns;
        CompareCas = command.CompareCas;
        ValueLength = command.ValueLength;
        _opaqueLength = (byte)command.Opaque.Length;
        command.Opaque.CopyTo(_opaque);
    }

    public MetaVerb Verb { get; }
    public MetaFlags Flags { get; }
    public MetaReturns Returns { get; }
    public ulong CompareCas { get; }

    /// <summary>ms: bytes that the client sent.</summary>
    public int ValueLength { get; }

    /// <summary>The expiry that t shows if the command creates the item: what holds at the place of t in the line.</summary>
    public uint CreatedExpiresAt { get; set; }

    [UnscopedRef]
    public readonly ReadOnlySpan<byte> Opaque => ((ReadOnlySpan<byte>)_opaque)[.._opaqueLength];

    public readonly bool Has(MetaFlags flag) => (Flags & flag) != 0;

    [InlineArray(Limits.OpaqueBytesMax)]
    private struct OpaqueBytes
    {
        private byte _first;
    }
}
