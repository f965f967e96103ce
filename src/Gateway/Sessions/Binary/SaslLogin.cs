using OrleansCache.Gateway.Buffers;
using OrleansCache.Gateway.Passwords;
using OrleansCache.Protocol.Binary;

namespace OrleansCache.Gateway.Sessions.Binary;

/// <summary>SASL: the mechanism PLAIN (RFC 4616), in one packet, or in two of which the first names the mechanism only.</summary>
internal sealed class SaslLogin(Session session, PasswordCheck passwords) : Login(session, passwords)
{
    private bool _isStarted;

    private enum Outcome
    {
        Failed,
        Continue,
        Right,
    }

    /// <summary>Carries out a packet of either SASL command. Returns what the connection may do from now on.</summary>
    public BinaryAccess Authenticate(BinaryOpcode opcode, uint opaque, ReadOnlySpan<byte> mechanism, ReadOnlySpan<byte> data)
    {
        Outcome outcome = opcode == BinaryOpcode.SaslAuthenticate ? Start(mechanism, data) : Step(data);
        OutputList output = Session.Replies.Current;
        Span<byte> destination = output.Reserve(BinaryReply.ReplyBytesMax);
        switch (outcome)
        {
            case Outcome.Continue:
                output.Commit(BinaryReply.WriteHeader(destination, opcode, BinaryStatus.AuthContinue, 0, 0, 0, opaque, 0));
                break;
            case Outcome.Right:
                Accept();
                output.Commit(BinaryReply.WriteText(destination, opcode, "Authenticated"u8, opaque));
                return BinaryAccess.Unlocked;
            default:
                Refuse(destination[..BinaryReply.WriteError(destination, opcode, BinaryStatus.AuthError, opaque)].ToArray());
                break;
        }

        return BinaryAccess.Locked;
    }

    private Outcome Start(ReadOnlySpan<byte> mechanism, ReadOnlySpan<byte> data)
    {
        _isStarted = false;
        if (!IsPlain(mechanism))
            return Outcome.Failed;
        if (data.IsEmpty)
        {
            _isStarted = true;
            return Outcome.Continue;
        }

        return CheckPlain(data);
    }

    private Outcome Step(ReadOnlySpan<byte> data)
    {
        if (!_isStarted)
            return Outcome.Failed;
        _isStarted = false;
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
    private Outcome CheckPlain(ReadOnlySpan<byte> data)
    {
        int identityEnd = data.IndexOf((byte)0);
        if (identityEnd < 0)
            return Outcome.Failed;
        ReadOnlySpan<byte> identity = data[..identityEnd];
        ReadOnlySpan<byte> rest = data[(identityEnd + 1)..];
        int userEnd = rest.IndexOf((byte)0);
        if (userEnd <= 0)
            return Outcome.Failed;
        ReadOnlySpan<byte> user = rest[..userEnd];
        ReadOnlySpan<byte> password = rest[(userEnd + 1)..];
        bool mayBe = identity.IsEmpty || identity.SequenceEqual(user);
        return Check(user, password) && mayBe ? Outcome.Right : Outcome.Failed;
    }
}
