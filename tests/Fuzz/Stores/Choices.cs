namespace OrleansCache.Fuzz.Stores;

/// <summary>Where a run takes its decisions from: numbers drawn under a seed, or the bytes of a fuzzer's input.</summary>
public abstract class Choices
{
    /// <summary>A number from 0 to below <paramref name="count"/>.</summary>
    public abstract int Next(int count);

    /// <summary>Nothing more can be decided.</summary>
    public virtual bool IsAtEnd => false;

    public bool OneIn(int count) => Next(count) == 0;

    public T Pick<T>(params ReadOnlySpan<T> values) => values[Next(values.Length)];
}

/// <summary>Decisions under a seed.</summary>
public sealed class SeededChoices(int seed) : Choices
{
    private readonly Random _random = new(seed);

    public override int Next(int count) => _random.Next(count);
}

/// <summary>Decisions that stand in an input, so that a change of a byte changes a decision; at its end all are 0.</summary>
public sealed class InputChoices(byte[] input) : Choices
{
    private int _position;

    public override bool IsAtEnd => _position >= input.Length;

    public override int Next(int count)
    {
        uint value = NextByte();
        for (uint range = 256; range < count && range < 1u << 24; range <<= 8)
            value = (value << 8) | NextByte();
        return (int)(value % (uint)count);
    }

    private uint NextByte() => _position < input.Length ? input[_position++] : 0u;
}
