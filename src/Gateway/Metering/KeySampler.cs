using System.Diagnostics;

namespace OrleansCache.Gateway.Metering;

/// <summary>
/// Which keys one I/O loop's clients use most, and the largest values that they store.
/// <para>
/// Hot keys: one request in <see cref="SampleInterval"/> enters a Space-Saving sketch of <see cref="HotMax"/> keys: a key that is not in it takes the
/// place of the one with the lowest count, and goes on from there, so that no frequent key is missed and a count is too high by at most that of the place.
/// Counts are halved each minute: old heat fades.
/// Large values: a list of the largest, cleared in the same way. Memory is fixed; nothing is allocated.
/// </para>
/// The loop never waits: while a reader holds the lock (some microseconds), samples are left out.
/// </summary>
internal sealed class KeySampler
{
    public const int SampleInterval = 64;
    public const int HotMax = 128;
    public const int LargeMax = 16;

    /// <summary>Smaller values are not worth naming.</summary>
    public const int LargeBytesMin = 16 * 1024;

    private static readonly TimeSpan FadeInterval = TimeSpan.FromSeconds(60);

    private readonly Lock _lock = new();
    private readonly ulong[] _hashes = new ulong[HotMax];
    private readonly long[] _counts = new long[HotMax];
    private readonly byte[] _keys = new byte[HotMax * Limits.KeyBytesMax];
    private readonly byte[] _keyLengths = new byte[HotMax];
    private readonly ulong[] _largeHashes = new ulong[LargeMax];
    private readonly long[] _largeBytes = new long[LargeMax];
    private readonly byte[] _largeKeys = new byte[LargeMax * Limits.KeyBytesMax];
    private readonly byte[] _largeKeyLengths = new byte[LargeMax];
    private int _used;
    private long _sampled;
    private long _fadedAt = Stopwatch.GetTimestamp();

    /// <summary>One of <see cref="SampleInterval"/> requests.</summary>
    public void Sample(ReadOnlySpan<byte> key, ulong hash)
    {
        if (!_lock.TryEnter())
            return;
        try
        {
            Fade();
            _sampled++;
            int index = _hashes.AsSpan(0, _used).IndexOf(hash);
            if (index < 0)
            {
                index = _used < HotMax ? _used++ : IndexOfMin(_counts);
                _hashes[index] = hash;
                key.CopyTo(_keys.AsSpan(index * Limits.KeyBytesMax));
                _keyLengths[index] = (byte)key.Length;
            }

            _counts[index]++;
        }
        finally
        {
            _lock.Exit();
        }
    }

    /// <summary>A value of at least <see cref="LargeBytesMin"/> is stored.</summary>
    public void NoteLarge(ReadOnlySpan<byte> key, ulong hash, int valueBytes)
    {
        if (!_lock.TryEnter())
            return;
        try
        {
            int index = _largeHashes.AsSpan().IndexOf(hash);
            if (index < 0)
            {
                index = IndexOfMin(_largeBytes);
                if (_largeBytes[index] >= valueBytes)
                    return;
            }

            _largeHashes[index] = hash;
            _largeBytes[index] = valueBytes;
            key.CopyTo(_largeKeys.AsSpan(index * Limits.KeyBytesMax));
            _largeKeyLengths[index] = (byte)key.Length;
        }
        finally
        {
            _lock.Exit();
        }
    }

    /// <summary>Adds what this loop has sampled; returns the number of samples.</summary>
    public long AddTo(Dictionary<ulong, HotKey> hot, Dictionary<ulong, LargeValue> large)
    {
        lock (_lock)
        {
            for (int i = 0; i < _used; i++)
            {
                hot.TryGetValue(_hashes[i], out HotKey? known);
                hot[_hashes[i]] = new HotKey(_keys.AsSpan(i * Limits.KeyBytesMax, _keyLengths[i]).ToArray(), _counts[i] + (known?.Sampled ?? 0));
            }

            for (int i = 0; i < LargeMax; i++)
            {
                if (_largeBytes[i] > 0 && (!large.TryGetValue(_largeHashes[i], out LargeValue? known) || known.ValueBytes < _largeBytes[i]))
                    large[_largeHashes[i]] = new LargeValue(_largeKeys.AsSpan(i * Limits.KeyBytesMax, _largeKeyLengths[i]).ToArray(), (int)_largeBytes[i]);
            }

            return _sampled;
        }
    }

    private static int IndexOfMin(ReadOnlySpan<long> values)
    {
        int least = 0;
        for (int i = 1; i < values.Length; i++)
        {
            if (values[i] < values[least])
                least = i;
        }

        return least;
    }

    private void Fade()
    {
        if (Stopwatch.GetElapsedTime(_fadedAt) < FadeInterval)
            return;
        _fadedAt = Stopwatch.GetTimestamp();
        _sampled /= 2;
        for (int i = 0; i < _used; i++)
            _counts[i] /= 2;

        // A size does not fade: what has not been stored again for a minute or two makes room for others, by halves.
        for (int i = 0; i < LargeMax; i++)
        {
            if (i % 2 == (_fadedAt / Stopwatch.Frequency / 60) % 2)
                (_largeHashes[i], _largeBytes[i]) = (0, 0);
        }
    }
}

/// <summary>A key and how often it was seen among the samples.</summary>
public sealed record HotKey(byte[] Key, long Sampled);

/// <summary>A key and the length of its value.</summary>
public sealed record LargeValue(byte[] Key, int ValueBytes);

/// <summary>What the sampling of keys has found in the last minutes, each list from the top.</summary>
/// <param name="SampledOneIn">One request in so many was looked at; 0: none is.</param>
/// <param name="Samples">How many were looked at.</param>
/// <param name="Hot">The keys seen most.</param>
/// <param name="Large">The largest values that were stored.</param>
public sealed record KeySamples(int SampledOneIn, long Samples, IReadOnlyList<HotKey> Hot, IReadOnlyList<LargeValue> Large);
