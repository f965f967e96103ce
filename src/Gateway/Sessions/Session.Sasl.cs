using OrleansCache.Gateway.Buffers;
using OrleansCache.Protocol.Binary;

namespace OrleansCache.Gateway.Sessions;

// SASL: the mechanism PLAIN (RFC 4616), in one packet, or in two of which the first names the mechanism only.
internal sealed unsafe partial class Session
{
    private bool _saslStarted;

    private enum SaslOutcome
    {
        Failed,
        Continue,
        Right,
    }

    private void Authenticate(BinaryOpcode opcode, uint opaque, ReadOnlySpan<byte> mechanism, ReadOnlySpan<byte> data)
    {
        _access = BinaryAccess.Locked;
        SaslOutcome outcome = opcode == BinaryOpcode.SaslAuthenticate ? Start(mechanism, data) : Step(data);
        OutputList output = CurrentOutput;
        Span<byte> destination = output.Reserve(BinaryReply.ReplyBytesMax);
        switch (outcome)
        {
            case SaslOutcome.Continue:
                output.Commit(BinaryReply.WriteHeader(destination, opcode, BinaryStatus.AuthContinue, 0, 0, 0, opaque, 0));
                break;
            case SaslOutcome.Right:
                CountLogin();
                _access = BinaryAccess.Unlocked;
                output.Commit(BinaryReply.WriteText(destination, opcode, "Authenticated"u8, opaque));
                break;
            default:
                RefuseLogin(destination[..BinaryReply.WriteError(destination, opcode, BinaryStatus.AuthError, opaque)].ToArray());
                break;
        }
    }

    private SaslOutcome Start(ReadOnlySpan<byte> mechanism, ReadOnlySpan<byte> data)
    {
        _saslStarted = false;
        if (!IsPlain(mechanism))
            return SaslOutcome.Failed;
        if (data.IsEmpty)
        {
            _saslStarted = true;
            return SaslOutcome.Continue;
        }

        return CheckPlain(data);
    }

    private SaslOutcome Step(ReadOnlySpan<byte> data)
    {
        if (!_saslStarted)
            return SaslOutcome.Failed;
        _saslStarted = false;
        return CheckPlain(data);
    }

    /// <summary>Names of mechanisms are compared without case.</summary>
    private static bool IsPlain(ReadOnlySpan<byte> mechanism)
    {
        ReadOnlySpan<byte> plain = "plain"u8;
        if (mechanism.Length != plain.Length)
            return false;
        for (int i = 0; i < plain.Length; i++)
        {
            if ((mechanism[i] | 0x20) != plain[i])
                return false;
        }

        return true;
    }

    /// <summary>authorization identity NUL user NUL password. The first, if given, must be the user: nobody acts for others here.</summary>
    private SaslOutcome CheckPlain(ReadOnlySpan<byte> data)
    {
        int identityEnd = data.IndexOf((byte)0);
        if (identityEnd < 0)
            return SaslOutcome.Failed;
        ReadOnlySpan<byte> identity = data[..identityEnd];
        ReadOnlySpan<byte> rest = data[(identityEnd + 1)..];
        int userEnd = rest.IndexOf((byte)0);
        if (userEnd <= 0)
            return SaslOutcome.Failed;
        ReadOnlySpan<byte> user = rest[..userEnd];
        ReadOnlySpan<byte> password = rest[(userEnd + 1)..];
        bool mayBe = identity.IsEmpty || identity.SequenceEqual(user);
        return IsLoginRight(_loop.Shared.Options.SaslPasswords!, user, password) && mayBe ? SaslOutcome.Right : SaslOutcome.Failed;
    }
}
