using System.Text;

namespace OrleansCache.Grains.Hosting.Seeds;

/// <summary>How far a silo's process is on its way into a cluster.</summary>
internal enum SeedPhase : byte
{
    /// <summary>It knows of no cluster yet.</summary>
    Fresh = 0,

    /// <summary>It is about to found the cluster, unless it hears otherwise.</summary>
    Founding = 1,

    /// <summary>It knows the cluster's seeds: the cluster exists.</summary>
    Member = 2,
}

/// <summary>
/// What a silo's process says of itself to another one's seed port; both do when they meet.
/// <code>
/// format u8 = 1 | phase u8 | founding 16 | version of the register i64 | own seed: text | silo: text | waits for: text | seeds: count u8, each a text
/// text: length u8 | UTF-8
/// </code>
/// </summary>
internal sealed record SeedGreeting
{
    private const byte Format = 1;
    private const int SeedsMax = 16;

    public SeedPhase Phase { get; init; }

    /// <summary>Of the cluster that it knows; empty if it knows none, or has not read the register yet.</summary>
    public Guid Founding { get; init; }

    /// <summary>Of the newest register contents that it knows.</summary>
    public long Version { get; init; }

    /// <summary>The seed that it keeps, in text form.</summary>
    public string Own { get; init; } = "";

    /// <summary>The silo that runs in its process, in Orleans's text form; empty before it does.</summary>
    public string Silo { get; init; } = "";

    /// <summary>For whom it waits, for people; empty if for nobody.</summary>
    public string WaitsFor { get; init; } = "";

    /// <summary>The seeds of its cluster, in text form; none unless it is a member.</summary>
    public IReadOnlyList<string> Seeds { get; init; } = [];

    public byte[] Encode()
    {
        List<byte> wire = [Format, (byte)Phase, .. Founding.ToByteArray(), .. BitConverter.GetBytes(Version)];
        AddText(wire, Own);
        AddText(wire, Silo);
        AddText(wire, WaitsFor);
        wire.Add((byte)Math.Min(Seeds.Count, SeedsMax));
        foreach (string seed in Seeds.Take(SeedsMax))
            AddText(wire, seed);
        return [.. wire];
    }

    /// <summary>Null if it is none.</summary>
    public static SeedGreeting? Decode(ReadOnlySpan<byte> wire)
    {
        WireReader reader = new(wire);
        if (reader.Byte() != Format || reader.Byte() is var phase && phase > (byte)SeedPhase.Member)
            return null;
        ReadOnlySpan<byte> founding = reader.Bytes(16);
        long version = reader.Int64();
        string own = ReadText(ref reader);
        string silo = ReadText(ref reader);
        string waitsFor = ReadText(ref reader);
        int count = reader.Byte();
        if (reader.Failed || count > SeedsMax)
            return null;
        List<string> seeds = [];
        for (int i = 0; i < count; i++)
            seeds.Add(ReadText(ref reader));
        return reader.Failed ? null : new SeedGreeting
        {
            Phase = (SeedPhase)phase, Founding = new Guid(founding), Version = version, Own = own, Silo = silo, WaitsFor = waitsFor,
            Seeds = seeds,
        };
    }

    private static void AddText(List<byte> wire, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        int length = Math.Min(bytes.Length, 255);
        wire.Add((byte)length);
        wire.AddRange(bytes.AsSpan(0, length));
    }

    private static string ReadText(ref WireReader reader) => Encoding.UTF8.GetString(reader.Bytes(reader.Byte()));
}
