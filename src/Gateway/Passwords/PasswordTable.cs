using System.Security.Cryptography;

namespace OrleansCache.Gateway.Passwords;

/// <summary>How a file of users and passwords is read.</summary>
public enum PasswordFileFormat
{
    /// <summary>memcached's -Y: user:password lines, the password up to the line's end; anything else in the file is an error.</summary>
    AuthFile,

    /// <summary>memcached's MEMCACHED_SASL_PWDB: user:password lines, which may go on behind another colon; other lines do not count.</summary>
    SaslDatabase,
}

/// <summary>
/// Users and passwords, never changed after it was built. It holds no password: of each pair only a keyed digest (HMAC-SHA-256, the key random for each table)
/// of user and password, both padded to a fixed length. A check computes the digest of what was offered and compares it with every entry, each in constant
/// time, so that its duration tells neither whether the user exists nor how much of the password is right.
/// </summary>
internal sealed class PasswordTable
{
    private const int FieldBytesMax = 255;

    // Length and padded bytes of both fields.
    private const int BlockBytes = 2 * (1 + FieldBytesMax);

    private readonly byte[] _key = RandomNumberGenerator.GetBytes(HMACSHA256.HashSizeInBytes);
    private readonly List<byte[]> _digests = [];

    private PasswordTable()
    {
    }

    public int Count => _digests.Count;

    /// <summary>Null if the file cannot be used; <paramref name="error"/> says why.</summary>
    public static PasswordTable? Parse(ReadOnlySpan<byte> text, PasswordFileFormat format, out string? error)
    {
        var table = new PasswordTable();
        error = null;
        for (int number = 1; !text.IsEmpty; number++)
        {
            int end = text.IndexOf((byte)'\n');
            ReadOnlySpan<byte> line = end < 0 ? text : text[..end];
            text = end < 0 ? default : text[(end + 1)..];
            if (!table.TryAdd(line, format, out error))
            {
                error = $"line {number}: {error}";
                return null;
            }
        }

        return table;
    }

    public bool Contains(ReadOnlySpan<byte> user, ReadOnlySpan<byte> password)
    {
        Span<byte> digest = stackalloc byte[HMACSHA256.HashSizeInBytes];
        bool fits = TryComputeDigest(user, password, digest);
        bool found = false;
        foreach (byte[] known in _digests)
            found |= CryptographicOperations.FixedTimeEquals(known, digest);
        return found & fits;
    }

    private bool TryAdd(ReadOnlySpan<byte> line, PasswordFileFormat format, out string? error)
    {
        error = null;
        int colon = line.IndexOf((byte)':');
        if (colon < 0 || line[..colon].Contains((byte)0))
        {
            if (format == PasswordFileFormat.SaslDatabase)
                return true;
            error = "has a malformed entry. Should be 'user:password'";
            return false;
        }

        if (line.Length > Limits.PasswordLineBytesMax)
        {
            error = $"is longer than {Limits.PasswordLineBytesMax} bytes";
            return false;
        }

        ReadOnlySpan<byte> user = line[..colon];
        ReadOnlySpan<byte> password = line[(colon + 1)..];
        int end = password.IndexOfAny((byte)'\r', (byte)0);
        if (end >= 0)
            password = password[..end];

        // A database's password ends at any of its colons: which one is meant, only the client's password tells.
        for (int at = 0; format == PasswordFileFormat.SaslDatabase && at < password.Length; at++)
        {
            if (password[at] == ':')
                Add(user, password[..at]);
        }

        Add(user, password);
        if (_digests.Count <= Limits.PasswordsMax)
            return true;
        error = $"there are more than {Limits.PasswordsMax} passwords";
        return false;
    }

    private void Add(ReadOnlySpan<byte> user, ReadOnlySpan<byte> password)
    {
        byte[] digest = new byte[HMACSHA256.HashSizeInBytes];
        TryComputeDigest(user, password, digest);
        _digests.Add(digest);
    }

    private bool TryComputeDigest(ReadOnlySpan<byte> user, ReadOnlySpan<byte> password, Span<byte> digest)
    {
        bool fits = user.Length <= FieldBytesMax && password.Length <= FieldBytesMax;
        if (!fits)
            user = password = default;
        Span<byte> block = stackalloc byte[BlockBytes];
        block.Clear();
        block[0] = (byte)user.Length;
        user.CopyTo(block[1..]);
        block[1 + FieldBytesMax] = (byte)password.Length;
        password.CopyTo(block[(2 + FieldBytesMax)..]);
        HMACSHA256.HashData(_key, block, digest);
        CryptographicOperations.ZeroMemory(block);
        return fits;
    }
}
