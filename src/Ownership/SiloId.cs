using System.Globalization;

namespace OrleansCache.Ownership;

/// <summary>
/// One life of one silo: its address and the generation that tells this life from an earlier one at the same address.
/// Text form: <c>host:port@generation</c>, which is also Orleans's parsable form of a silo address.
/// Order: the oldest life first, ties by address; every silo that knows the same members picks the same first one.
/// </summary>
public readonly record struct SiloId : IComparable<SiloId>
{
    private readonly string? _text;

    private SiloId(string text, int generation)
    {
        _text = text;
        Generation = generation;
    }

    /// <summary>Start time of this life: a higher number is a later start.</summary>
    public int Generation { get; }

    /// <summary>No silo.</summary>
    public bool IsNone => _text is null;

    /// <summary>The text form; empty for no silo.</summary>
    public string Text => _text ?? string.Empty;

    /// <summary><c>host:port</c>, without the generation, which says nothing to people; empty for no silo.</summary>
    public string Address => Text[..Math.Max(0, Text.LastIndexOf('@'))];

    /// <summary>Makes the id of the silo at this address (<c>host:port</c>).</summary>
    public static SiloId Create(string address, int generation) =>
        new(string.Create(CultureInfo.InvariantCulture, $"{address}@{generation}"), generation);

    /// <summary>Reads the text form.</summary>
    public static bool TryParse(string? text, out SiloId silo)
    {
        silo = default;
        if (text is null)
            return false;
        int at = text.LastIndexOf('@');
        if (at <= 0 || !int.TryParse(text.AsSpan(at + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int generation))
            return false;
        silo = new SiloId(text, generation);
        return true;
    }

    /// <summary>Reads the text form; throws <see cref="FormatException"/> if it is none.</summary>
    public static SiloId Parse(string text) => TryParse(text, out SiloId silo) ? silo : throw new FormatException($"'{text}' is not a silo's address.");

    public int CompareTo(SiloId other)
    {
        int byAge = Generation.CompareTo(other.Generation);
        return byAge != 0 ? byAge : string.CompareOrdinal(Text, other.Text);
    }

    public override string ToString() => Text;

    public static bool operator <(SiloId left, SiloId right) => left.CompareTo(right) < 0;

    public static bool operator >(SiloId left, SiloId right) => left.CompareTo(right) > 0;

    public static bool operator <=(SiloId left, SiloId right) => left.CompareTo(right) <= 0;

    public static bool operator >=(SiloId left, SiloId right) => left.CompareTo(right) >= 0;
}
