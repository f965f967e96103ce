using System.Net;
using System.Text;

namespace OrleansCache.Grains.Hosting.Seeds;

/// <summary>One silo's row of the membership table.</summary>
/// <param name="Entry">What Orleans keeps of it; not shared with anybody.</param>
/// <param name="Etag">Another one with each change of the row.</param>
/// <param name="Seed">The seed that the silo's process keeps, whether it votes or not, in its text form; empty if it keeps none.</param>
internal sealed record SiloRow(MembershipEntry Entry, long Etag, string Seed);

/// <summary>
/// What the replicated register holds: the whole membership table of an embedded cluster, and what belongs to it. Little endian, without padding:
/// <code>
/// format u8 = 1 | table version i32 | table etag i64 | last etag i64
/// former seeds: count u8, each a text | barred: count u8, each 16
/// rows: count u16, each: etag i64 | silo | status u8 | gateway port u16 | host, name, role, seed: texts | update zone i32 | fault zone i32
///                        | started i64 | alive i64 | suspicions: count u8, each: silo | at i64
/// silo: address length u8 = 4 or 16 | address | port u16 | generation i32          times: UTC, in ticks of 100 ns
/// text: length u8 | UTF-8
/// </code>
/// Bounded: <see cref="RowsMax"/> rows, <see cref="FormerSeedsMax"/> former seeds, as many barred ones. Decoding is total: what is no content is refused.
/// </summary>
internal sealed class MembershipContent
{
    public const int RowsMax = 1024;
    public const int FormerSeedsMax = 16;
    private const byte Format = 1;
    private const int TextBytesMax = 255;
    private const int SuspicionsMax = 16;

    /// <summary>A silo that was declared dead is told so by its row; one more than this leaves no doubt about the oldest.</summary>
    private const int DefunctRowsMax = 64;

    /// <summary>Orleans's version: one more with every change of a row.</summary>
    public int TableVersion { get; private set; }

    /// <summary>Of the table as a whole.</summary>
    public long TableEtag { get; private set; }

    public long LastEtag { get; private set; }

    public List<SiloRow> Rows { get; } = [];

    /// <summary>Addresses that were seeds once: who starts there and has forgotten is told that the cluster lives. The newest is the last.</summary>
    public List<string> FormerSeeds { get; } = [];

    /// <summary>Seeds that an operator has taken out, by identity: no silo takes them in again by itself.</summary>
    public List<Guid> Barred { get; } = [];

    public SiloRow? Find(SiloAddress silo) => Rows.Find(row => row.Entry.SiloAddress.Equals(silo));

    /// <summary>Adds a row, or puts it in the place of the one that the silo has; the table goes to this version.</summary>
    public void Put(MembershipEntry entry, string seed, int tableVersion)
    {
        Rows.RemoveAll(row => row.Entry.SiloAddress.Equals(entry.SiloAddress));
        Rows.Add(new SiloRow(Copy(entry), ++LastEtag, Fit(seed)));
        TableVersion = tableVersion;
        TableEtag = ++LastEtag;
        SiloRow[] defunct = [.. Rows.Where(row => row.Entry.Status == SiloStatus.Dead).OrderBy(row => UpdatedAt(row.Entry))];
        for (int i = 0; i < defunct.Length - DefunctRowsMax; i++)
            Rows.Remove(defunct[i]);
    }

    /// <summary>Removes rows of silos that are not active and have not been heard of since then. The table's version stays. False if there are none.</summary>
    public bool RemoveDefunct(DateTimeOffset before)
    {
        if (Rows.RemoveAll(row => row.Entry.Status != SiloStatus.Active && UpdatedAt(row.Entry) < before.UtcDateTime) == 0)
            return false;
        TableEtag = ++LastEtag;
        return true;
    }

    /// <summary>False if they all are already, or are not there.</summary>
    public bool DeclareDead(IEnumerable<SiloAddress> silos, DateTimeOffset now)
    {
        MembershipEntry[] dead = [.. silos.Select(Find).OfType<SiloRow>().Select(row => row.Entry).Where(entry => entry.Status != SiloStatus.Dead)];
        int version = TableVersion + 1;
        foreach (MembershipEntry entry in dead)
        {
            string seed = Find(entry.SiloAddress)!.Seed;
            entry.Status = SiloStatus.Dead;
            entry.AddSuspector(entry.SiloAddress, now.UtcDateTime);
            Put(entry, seed, version);
        }

        return dead.Length > 0;
    }

    /// <summary>
    /// The silo's seed is nobody's candidate any more. Rows and table stay at their versions: to Orleans nothing has changed. False if it has none.
    /// </summary>
    public bool WithdrawSeed(SiloAddress silo)
    {
        int index = Rows.FindIndex(row => row.Entry.SiloAddress.Equals(silo) && row.Seed.Length > 0);
        if (index < 0)
            return false;
        Rows[index] = Rows[index] with { Seed = "" };
        return true;
    }

    public void RemoveAll()
    {
        Rows.Clear();
        TableEtag = ++LastEtag;
    }

    /// <summary>False if there is nothing to change.</summary>
    public bool NoteFormerSeed(string address)
    {
        if (address.Length == 0 || FormerSeeds.LastOrDefault() == address)
            return false;
        FormerSeeds.Remove(address);
        FormerSeeds.Add(Fit(address));
        if (FormerSeeds.Count > FormerSeedsMax)
            FormerSeeds.RemoveAt(0);
        return true;
    }

    /// <summary>False if there is nothing to change.</summary>
    public bool Bar(Guid seed, bool bar)
    {
        if (Barred.Contains(seed) == bar)
            return false;
        if (!bar)
            return Barred.Remove(seed);
        Barred.Add(seed);
        if (Barred.Count > FormerSeedsMax)
            Barred.RemoveAt(0);
        return true;
    }

    public static MembershipEntry Copy(MembershipEntry entry) => new()
    {
        SiloAddress = entry.SiloAddress,
        Status = entry.Status,
        SuspectTimes = [.. entry.SuspectTimes ?? []],
        ProxyPort = entry.ProxyPort,
        HostName = entry.HostName,
        SiloName = entry.SiloName,
        RoleName = entry.RoleName,
        UpdateZone = entry.UpdateZone,
        FaultZone = entry.FaultZone,
        StartTime = entry.StartTime,
        IAmAliveTime = entry.IAmAliveTime,
    };

    public byte[] Encode()
    {
        byte[] buffer = new byte[512 + FormerSeeds.Sum(TextBytes) + Rows.Sum(RowBytes)];
        WireWriter writer = new(buffer);
        writer.Byte(Format);
        writer.Int32(TableVersion);
        writer.Int64(TableEtag);
        writer.Int64(LastEtag);
        writer.Byte((byte)FormerSeeds.Count);
        foreach (string address in FormerSeeds)
            WriteText(ref writer, address);
        writer.Byte((byte)Barred.Count);
        foreach (Guid seed in Barred)
            seed.TryWriteBytes(writer.Take(16));
        writer.UInt16((ushort)Rows.Count);
        foreach (SiloRow row in Rows)
            WriteRow(ref writer, row);
        return buffer[..writer.Written];
    }

    /// <summary>Null if it is none. No bytes are an empty table: so a cluster begins.</summary>
    public static MembershipContent? Decode(ReadOnlySpan<byte> wire)
    {
        MembershipContent content = new();
        if (wire.IsEmpty)
            return content;
        WireReader reader = new(wire);
        if (reader.Byte() != Format)
            return null;
        content.TableVersion = reader.Int32();
        content.TableEtag = reader.Int64();
        content.LastEtag = reader.Int64();
        int formerCount = reader.Byte();
        if (formerCount > FormerSeedsMax)
            return null;
        for (int i = 0; i < formerCount && !reader.Failed; i++)
            content.FormerSeeds.Add(ReadText(ref reader));
        int barredCount = reader.Byte();
        if (barredCount > FormerSeedsMax)
            return null;
        for (int i = 0; i < barredCount && reader.Bytes(16) is { Length: 16 } seed; i++)
            content.Barred.Add(new Guid(seed));
        int rowCount = reader.UInt16();
        if (rowCount > RowsMax)
            return null;
        for (int i = 0; i < rowCount; i++)
        {
            if (ReadRow(ref reader) is not { } row)
                return null;
            content.Rows.Add(row);
        }

        return reader.Failed || reader.Remaining != 0 ? null : content;
    }

    private static DateTime UpdatedAt(MembershipEntry entry)
    {
        DateTime newest = entry.StartTime > entry.IAmAliveTime ? entry.StartTime : entry.IAmAliveTime;
        foreach ((_, DateTime suspected) in entry.SuspectTimes ?? [])
            newest = suspected > newest ? suspected : newest;
        return DateTime.SpecifyKind(newest, DateTimeKind.Utc);
    }

    private static int TextBytes(string? text) => 1 + (text is null ? 0 : Math.Min(TextBytesMax, Encoding.UTF8.GetByteCount(text)));

    private static int RowBytes(SiloRow row) => 64 + (23 * (1 + SuspicionsMax) + (8 * SuspicionsMax)) + TextBytes(row.Entry.HostName)
        + TextBytes(row.Entry.SiloName) + TextBytes(row.Entry.RoleName) + TextBytes(row.Seed);

    /// <summary>As much as the format takes.</summary>
    private static string Fit(string text)
    {
        while (Encoding.UTF8.GetByteCount(text) > TextBytesMax)
            text = text[..^1];
        return text;
    }

    private static void WriteText(ref WireWriter writer, string? text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(Fit(text ?? ""));
        writer.Byte((byte)bytes.Length);
        writer.Bytes(bytes);
    }

    private static string ReadText(ref WireReader reader) => Encoding.UTF8.GetString(reader.Bytes(reader.Byte()));

    private static void WriteSilo(ref WireWriter writer, SiloAddress silo)
    {
        byte[] address = silo.Endpoint.Address.GetAddressBytes();
        writer.Byte((byte)address.Length);
        writer.Bytes(address);
        writer.UInt16((ushort)silo.Endpoint.Port);
        writer.Int32(silo.Generation);
    }

    private static SiloAddress? ReadSilo(ref WireReader reader)
    {
        int length = reader.Byte();
        if (length is not (4 or 16))
        {
            reader.Fail();
            return null;
        }

        ReadOnlySpan<byte> address = reader.Bytes(length);
        int port = reader.UInt16();
        int generation = reader.Int32();
        return reader.Failed ? null : SiloAddress.New(new IPEndPoint(new IPAddress(address), port), generation);
    }

    private static void WriteRow(ref WireWriter writer, SiloRow row)
    {
        MembershipEntry entry = row.Entry;
        writer.Int64(row.Etag);
        WriteSilo(ref writer, entry.SiloAddress);
        writer.Byte((byte)entry.Status);
        writer.UInt16((ushort)entry.ProxyPort);
        WriteText(ref writer, entry.HostName);
        WriteText(ref writer, entry.SiloName);
        WriteText(ref writer, entry.RoleName);
        WriteText(ref writer, row.Seed);
        writer.Int32(entry.UpdateZone);
        writer.Int32(entry.FaultZone);
        writer.Int64(entry.StartTime.Ticks);
        writer.Int64(entry.IAmAliveTime.Ticks);

        // Orleans keeps as many as there are votes; the newest ones count.
        Tuple<SiloAddress, DateTime>[] suspicions = [.. (entry.SuspectTimes ?? []).TakeLast(SuspicionsMax)];
        writer.Byte((byte)suspicions.Length);
        foreach ((SiloAddress silo, DateTime at) in suspicions)
        {
            WriteSilo(ref writer, silo);
            writer.Int64(at.Ticks);
        }
    }

    private static SiloRow? ReadRow(ref WireReader reader)
    {
        long etag = reader.Int64();
        if (ReadSilo(ref reader) is not { } silo)
            return null;
        MembershipEntry entry = new() { SiloAddress = silo, Status = (SiloStatus)reader.Byte(), ProxyPort = reader.UInt16() };
        entry.HostName = ReadText(ref reader);
        entry.SiloName = ReadText(ref reader);
        entry.RoleName = ReadText(ref reader);
        string seed = ReadText(ref reader);
        entry.UpdateZone = reader.Int32();
        entry.FaultZone = reader.Int32();
        entry.StartTime = ReadTime(ref reader);
        entry.IAmAliveTime = ReadTime(ref reader);
        int suspicions = reader.Byte();
        if (suspicions > SuspicionsMax || !Enum.IsDefined(entry.Status))
            return null;
        entry.SuspectTimes = [];
        for (int i = 0; i < suspicions; i++)
        {
            if (ReadSilo(ref reader) is not { } suspecting)
                return null;
            entry.SuspectTimes.Add(Tuple.Create(suspecting, ReadTime(ref reader)));
        }

        return reader.Failed ? null : new SiloRow(entry, etag, seed);
    }

    private static DateTime ReadTime(ref WireReader reader)
    {
        long ticks = reader.Int64();
        return ticks < 0 || ticks > DateTime.MaxValue.Ticks ? default : new DateTime(ticks, DateTimeKind.Utc);
    }
}
