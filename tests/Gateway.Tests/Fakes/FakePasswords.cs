using OrleansCache.Gateway.Passwords;

namespace OrleansCache.Gateway.Tests.Fakes;

/// <summary>Lets one user in, and counts who asks.</summary>
internal sealed class FakePasswords : PasswordCheck
{
    public int Asked { get; private set; }

    public override bool IsRight(ReadOnlySpan<byte> user, ReadOnlySpan<byte> password)
    {
        Asked++;
        return user.SequenceEqual("user"u8) && password.SequenceEqual("secret"u8);
    }
}
