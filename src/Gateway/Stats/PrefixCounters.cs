using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace OrleansCache.Gateway.Stats;

/// <summary>
/// `stats detail`: what clients of this gateway asked for, by the part of the key before the delimiter (-D). Keys without a delimiter are not counted.
/// One table under one lock, as in memcached: it is off unless someone looks for something, and then its cost is known. Off, a command costs one read of
/// <see cref="IsEnabled"/>. Bounded by <see cref="Limits.DetailPrefixesMax"/>: later prefixes are not counted.
/// </summary>
internal sealed class PrefixCounters(byte delimiter)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<byte[], Counts> _prefixes = new(KeyComparer.Instance);
    private volatile bool _isEnabled;

    public bool IsEnabled
    {
        get => _isEnabled;
        set => _isEnabled = value;
    }

    public void CountGet(ReadOnlySpan<byte> key)
    {
        lock (_lock)
        {
            if (Find(key) is { } counts)
                counts.Gets++;
        }
    }

    public void CountHit(ReadOnlySpan<byte> key)
    {
        lock (_lock)
        {
            if (Find(key) is { } counts)
                counts.Hits++;
        }
    }

    public void CountSet(ReadOnlySpan<byte> key)
    {
        lock (_lock)
        {
            if (Find(key) is { } counts)
                counts.Sets++;
        }
    }

    public void CountDelete(ReadOnlySpan<byte> key)
    {
        lock (_lock)
        {
            if (Find(key) is { } counts)
                counts.Deletes++;
        }
    }

    public void Clear()
    {
        lock (_lock)
            _prefixes.Clear();
    }

    /// <summary>"PREFIX name get n hit n set n del n" for each, and END.</summary>
    public byte[] Dump()
    {
        var text = new StringBuilder();
        lock (_lock)
        {
            foreach ((byte[] prefix, Counts counts) in _prefixes)
            {
                text.Append("PREFIX ").Append(Encoding.Latin1.GetString(prefix)).Append(" get ").Append(counts.Gets).Append(" hit ").Append(counts.Hits)
                    .Append(" set ").Append(counts.Sets).Append(" del ").Append(counts.Deletes).Append("\r\n");
            }
        }

        return Encoding.Latin1.GetBytes(text.Append("END\r\n").ToString());
    }

    private Counts? Find(ReadOnlySpan<byte> key)
    {
        int length = key.IndexOf(delimiter);
        if (length < 0)
            return null;
        var lookup = _prefixes.GetAlternateLookup<ReadOnlySpan<byte>>();
        if (lookup.TryGetValue(key[..length], out Counts? counts))
            return counts;
        if (_prefixes.Count >= Limits.DetailPrefixesMax)
            return null;
        counts = new Counts();
        _prefixes.Add(key[..length].ToArray(), counts);
        return counts;
    }

    private sealed class Counts
    {
        public long Gets, Hits, Sets, Deletes;
    }

    private sealed class KeyComparer : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
    {
        private readonly KeyHasher _hasher = new(HashSeed.Random());

        public static KeyComparer Instance { get; } = new();

        public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

        public int GetHashCode([DisallowNull] byte[] obj) => GetHashCode(obj.AsSpan());

        public bool Equals(ReadOnlySpan<byte> alternate, byte[] other) => alternate.SequenceEqual(other);

        public int GetHashCode(ReadOnlySpan<byte> alternate) => _hasher.Compute(alternate).GetHashCode();

        public byte[] Create(ReadOnlySpan<byte> alternate) => alternate.ToArray();
    }
}
