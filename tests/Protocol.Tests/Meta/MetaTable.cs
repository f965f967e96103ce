namespace OrleansCache.Protocol.Tests.Meta;

/// <summary>
/// What each line of the meta protocol means. Every row was observed on memcached 1.6.45, but for b of me (docs/protocol.md). {K} stands for a key of 251
/// bytes, {k} for one of 250.
/// </summary>
internal static class MetaTable
{
    private const string BadFormat = "CLIENT_ERROR bad command line format";
    private const string BadToken = "CLIENT_ERROR bad token in command line format";
    private const string Duplicate = "CLIENT_ERROR duplicate flag";
    private const string Invalid = "CLIENT_ERROR invalid flag";
    private const string InvalidOrDuplicate = "CLIENT_ERROR invalid or duplicate flag";
    private const string TooMany = "CLIENT_ERROR options flags are too long";

    public static readonly (string Line, string Expected)[] Rows =
    [
        ("mn", "NoOp"),
        ("mn any thing \x01", "NoOp"),

        // mg
        ("mg", BadFormat),
        ("mg ", BadFormat),
        ("mg k", "Get[k]"),
        ("mg  k  v ", "Get[k] (Value)"),
        ("mg {k} v", "Get[{k}] (Value)"),
        ("mg {K} v", BadFormat),
        ("mg k v q u k O s t c f h l", "Get[k] (Value, Quiet, NoUpdate) -> kOstcfhl opaque=O"),
        ("mg k P Lx Pxyz", Duplicate),
        ("mg k P Lx", "Get[k]"),
        ("mg k t T5", "Get[k] T=5 -> t"),
        ("mg k T5 t", "Get[k] T=5 (TtlBehindTouch) -> t"),
        ("mg k N5 t T6", "Get[k] T=6 N=5 (TtlBehindCreate) -> t"),
        ("mg k T6 t N5", "Get[k] T=6 N=5 (TtlBehindTouch, CreateBehindTouch) -> t"),
        ("mg k R10 T6", "Get[k] T=6 R=10"),
        ("mg k T-1 R-", "Get[k] T=-1 R=0 (RecacheBehindTouch)"),
        ("mg k T2147483647", "Get[k] T=2147483647"),
        ("mg k T2147483648", BadToken),
        ("mg k T", BadToken),
        ("mg k N", BadToken),
        ("mg k R1x", BadToken),
        ("mg k C7 E8", "Get[k] C=7 E=8"),
        ("mg k Cx", BadToken),
        ("mg k E-1", BadToken),
        ("mg k C0000000000000000000001", "Get[k] C=1"),
        ("mg k C00000000000000000000001", BadToken),
        ("mg k D1 J2 Mq I x F3", "Get[k] F=3 (Invalidate, DropValue)"),
        ("mg k Dx", "CLIENT_ERROR invalid numeric delta value"),
        ("mg k J", "CLIENT_ERROR invalid numeric initial value"),
        ("mg k F", BadFormat),
        ("mg k Tx F", BadToken),
        ("mg k F Tx", BadToken),
        ("mg k Tx Dx", "CLIENT_ERROR invalid numeric delta value"),
        ("mg k Tx a", Invalid),
        ("mg k Tx T5", Duplicate),
        ("mg k v v", Duplicate),
        ("mg k S", Invalid),
        ("mg k W", Invalid),
        ("mg k 5", Invalid),
        ("mg k [", Invalid),
        ("mg k v -", BadFormat),
        ("mg k v v \xff", BadFormat),
        ("mg k v {", BadFormat),
        ("mg k @", BadFormat),
        ("mg k v s t c f h l k O q u b N0 T0 R0 P L F5", "CLIENT_ERROR error decoding key"),
        ("mg Zm9v v s t c f h l k O q u b N0 T0 R0 P L F5",
            "Get[foo] F=5 T=0 N=0 R=0 (BinaryKey, Value, Quiet, NoUpdate, RecacheBehindTouch) -> stcfhlkO opaque=O"),
        ("mg k v s t c f h l k O q u b N0 T0 R0 P L F5 C5", TooMany),
        ("mg k a a a a a a a a a a a a a a a a a a a a a -", TooMany),
        ("mg k a a a a a a a a a a a a a a a a a a a - a a", BadFormat),
        ("mg k O1234567890123456789012345678901", "Get[k] -> O opaque=O1234567890123456789012345678901"),
        ("mg k O12345678901234567890123456789012", "CLIENT_ERROR opaque token too long"),

        // Keys in base64: what is not of the alphabet is skipped.
        ("mg Zm9v b", "Get[foo] (BinaryKey)"),
        ("mg Zm8= b v", "Get[fo] (BinaryKey, Value)"),
        ("mg Zg== b", "Get[f] (BinaryKey)"),
        ("mg Z.m-9_v b", "Get[foo] (BinaryKey)"),
        ("mg Zm9vZg==AAAA b", "Get[foof] (BinaryKey)"),
        ("mg =AAA b", "Get[\0\0] (BinaryKey)"),
        ("mg AAECAw== b", "Get[\0\x01\x02\x03] (BinaryKey)"),
        ("mg Zm9 b", "CLIENT_ERROR error decoding key"),
        ("mg Z=== b", "CLIENT_ERROR error decoding key"),
        ("mg !!! b", "CLIENT_ERROR error decoding key"),
        ("mg Zm9v", "Get[Zm9v]"),

        // ms
        ("ms", BadFormat),
        ("ms k", BadFormat),
        ("ms k S2", BadFormat),
        ("ms k -1", BadFormat),
        ("ms k 2x", BadFormat),
        ("ms k 2147483646", BadFormat),
        ("ms k 2147483645", "SERVER_ERROR object too large for cache swallow=2147483647 delete=k"),
        ("ms k 2 -", BadFormat),
        ("ms {K} 2", BadFormat + " swallow=4"),
        ("ms k 2", "Set[k] Set bytes=2"),
        ("ms k 002 T5 F4294967295 k c s Oq", "Set[k] Set bytes=2 F=4294967295 T=5 -> kcsO opaque=Oq"),
        ("ms k 2 F4294967296", BadFormat + " swallow=4"),
        ("ms k 2 a", Invalid + " swallow=4"),
        ("ms k 2 T5 T6", Duplicate + " swallow=4"),
        ("ms k 2 Cx", BadToken + " swallow=4"),
        ("ms k 2 MS", "Set[k] Set bytes=2"),
        ("ms k 2 ME", "Set[k] Add bytes=2"),
        ("ms k 2 MA N30", "Set[k] Append bytes=2 N=30"),
        ("ms k 2 MP", "Set[k] Prepend bytes=2"),
        ("ms k 2 MR", "Set[k] Replace bytes=2"),
        ("ms k 2 MEcho", "Set[k] Add bytes=2"),
        ("ms k 2 Me", "CLIENT_ERROR invalid mode for ms M token swallow=4"),
        ("ms k 2 M", "CLIENT_ERROR invalid mode for ms M token swallow=4"),
        ("ms k 2 M T5", "CLIENT_ERROR invalid mode for ms M token swallow=4"),
        ("ms k 2 I C5 E6 q", "Set[k] Set bytes=2 C=5 E=6 (Quiet, Invalidate)"),
        ("ms Zm9v 2 b", "Set[foo] Set bytes=2 (BinaryKey)"),
        ("ms Zm9 2 b", "CLIENT_ERROR error decoding key swallow=4"),
        ("ms k 1048516", "Set[k] Set bytes=1048516"),
        ("ms k 1048517", "SERVER_ERROR object too large for cache swallow=1048519 delete=k"),
        ("ms k 1048513 F1 MA q O12345678901234567890123456789012", "SERVER_ERROR object too large for cache swallow=1048515 delete=k"),
        ("ms k 2 O12345678901234567890123456789012", "CLIENT_ERROR opaque token too long swallow=4"),

        // md
        ("md", BadFormat),
        ("md k", "Delete[k]"),
        ("md k I T30 q x F4 k Ox", "Delete[k] F=4 T=30 (Quiet, Invalidate, DropValue) -> kO opaque=Ox"),
        ("md k C", BadToken),
        ("md k v v", Duplicate),

        // ma
        ("ma", BadFormat),
        ("ma k", "Arithmetic[k] Increment D=1 J=0"),
        ("ma k MI", "Arithmetic[k] Increment D=1 J=0"),
        ("ma k M+ D5", "Arithmetic[k] Increment D=5 J=0"),
        ("ma k MD N60 J18446744073709551615 v t c", "Arithmetic[k] Decrement D=1 J=18446744073709551615 N=60 (Value, TtlBehindCreate) -> tc"),
        ("ma k M- ", "Arithmetic[k] Decrement D=1 J=0"),
        ("ma k M\0", "Arithmetic[k] Increment D=1 J=0"),
        ("ma k Mi", "CLIENT_ERROR invalid mode for ma M token"),
        ("ma k M", "CLIENT_ERROR invalid mode for ma M token"),
        ("ma k D", InvalidOrDuplicate),
        ("ma k D18446744073709551616", InvalidOrDuplicate),
        ("ma k v v", InvalidOrDuplicate),
        ("ma k a", InvalidOrDuplicate),
        ("ma {K}", InvalidOrDuplicate),
        ("ma !!! b", InvalidOrDuplicate),
        ("ma k -", BadFormat),

        // me takes whatever stands there.
        ("me", BadFormat),
        ("me k", "Debug[k]"),
        ("me k q q a 5", "Debug[k]"),
        ("me k -", BadFormat),
        ("me {K}", BadFormat),
        ("me Zm9v b", "Debug[foo] (BinaryKey)"),
        ("me Zm9v b x", "Debug[foo] (BinaryKey)"),
        ("me Zm9v x b", "Debug[Zm9v]"),
        ("me foo b", BadFormat),
    ];

    public static string Expand(string text) =>
        text.Replace("{K}", new string('K', 251), StringComparison.Ordinal).Replace("{k}", new string('k', 250), StringComparison.Ordinal);
}
