using System.Text;

namespace OrleansCache.Ownership;

/// <summary>Which table is newer: the coordinator's term first, its own count within the term second.</summary>
public readonly record struct PartitionTableVersion(long Term, long Number) : IComparable<PartitionTableVersion>
{
    public int CompareTo(PartitionTableVersion other)
    {
        int byTerm = Term.CompareTo(other.Term);
        return byTerm != 0 ? byTerm : Number.CompareTo(other.Number);
    }

    public override string ToString() => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Term}.{Number}");

    public static bool operator <(PartitionTableVersion left, PartitionTableVersion right) => left.CompareTo(right) < 0;

    public static bool operator >(PartitionTableVersion left, PartitionTableVersion right) => left.CompareTo(right) > 0;

    public static bool operator <=(PartitionTableVersion left, PartitionTableVersion right) => left.CompareTo(right) <= 0;

    public static bool operator >=(PartitionTableVersion left, PartitionTableVersion right) => left.CompareTo(right) >= 0;
}

/// <summary>
/// Who owns which partition, and the seed by which keys are hashed to partitions: an immutable, versioned array. Everyone caches
/// it; a stale copy costs one extra hop, because the owner's gate decides. The seed is the same in all tables of a cluster's life.
/// Besides, it says what silos write to each other: whoever is named in it, and whoever is told to hold a copy while it is known, speaks that version.
/// <para>
/// Wire form, little endian: <c>u8 layout = 1 | i64 term | i64 number | 16 bytes hash seed | u8 wire version | u16 silos
/// | silos x (u16 length, UTF-8 text) | u16 partitions | partitions x (u16 owner index or 0xFFFF, i64 epoch)</c>.
/// </para>
/// </summary>
public sealed class PartitionTable
{
    private const byte Layout = 1;
    private const ushort NoOwner = ushort.MaxValue;
    private const int HeaderBytes = 1 + 8 + 8 + HashSeed.Bytes + 1;
    private const int PartitionBytes = 2 + 8;
    private readonly SiloId[] _silos;
    private readonly ushort[] _ownerIndexes;
    private readonly long[] _epochs;
    private KeyHasher? _hasher;

    private PartitionTable(PartitionTableVersion version, HashSeed hashSeed, byte wireVersion, SiloId[] silos, ushort[] ownerIndexes, long[] epochs)
    {
        Version = version;
        HashSeed = hashSeed;
        WireVersion = wireVersion;
        _silos = silos;
        _ownerIndexes = ownerIndexes;
        _epochs = epochs;
    }

    public PartitionTableVersion Version { get; }

    /// <summary>The seed of the cluster's key hash; none only in the table before anything is known.</summary>
    public HashSeed HashSeed { get; }

    /// <summary>What the silos have agreed to write to each other; the oldest before anything is known.</summary>
    public byte WireVersion { get; }

    /// <summary>What hashes keys under <see cref="HashSeed"/>, which must not be none.</summary>
    public KeyHasher Hasher => _hasher ??= new KeyHasher(HashSeed);

    public int PartitionCount => _ownerIndexes.Length;

    /// <summary>Every silo that owns something, each once.</summary>
    public ReadOnlySpan<SiloId> Silos => _silos;

    /// <summary>The table before anything is known: no partition has an owner.</summary>
    public static PartitionTable Unassigned(int partitionCount)
    {
        ushort[] owners = new ushort[partitionCount];
        Array.Fill(owners, NoOwner);
        return new PartitionTable(default, default, Ownership.WireVersion.Oldest, [], owners, new long[partitionCount]);
    }

    /// <summary>Builds a table from one owner (or <see cref="SiloId.IsNone"/>) and one epoch per partition.</summary>
    public static PartitionTable Create(
        PartitionTableVersion version, HashSeed hashSeed, ReadOnlySpan<SiloId> owners, ReadOnlySpan<long> epochs,
        byte wireVersion = Ownership.WireVersion.Oldest)
    {
        if (owners.Length != epochs.Length)
            throw new ArgumentException("One epoch per owner is needed.", nameof(epochs));
        SiloId[] silos = [.. owners.ToArray().Where(owner => !owner.IsNone).Distinct().Order()];
        Dictionary<SiloId, ushort> indexes = [];
        for (int i = 0; i < silos.Length; i++)
            indexes.Add(silos[i], (ushort)i);
        ushort[] ownerIndexes = new ushort[owners.Length];
        for (int partition = 0; partition < owners.Length; partition++)
            ownerIndexes[partition] = owners[partition].IsNone ? NoOwner : indexes[owners[partition]];
        return new PartitionTable(version, hashSeed, wireVersion, silos, ownerIndexes, epochs.ToArray());
    }

    /// <summary>Index into <see cref="Silos"/> of the partition's owner, or -1 while it has none.</summary>
    public int OwnerIndexOf(PartitionId partition)
    {
        ushort index = _ownerIndexes[partition.Value];
        return index == NoOwner ? -1 : index;
    }

    /// <summary>The partition's owner; <see cref="SiloId.IsNone"/> while it has none.</summary>
    public SiloId OwnerOf(PartitionId partition)
    {
        int index = OwnerIndexOf(partition);
        return index < 0 ? default : _silos[index];
    }

    /// <summary>By partition, what <see cref="EpochOf"/> says.</summary>
    public ReadOnlySpan<long> Epochs => _epochs;

    /// <summary>The epoch in which the owner holds the partition.</summary>
    public long EpochOf(PartitionId partition) => _epochs[partition.Value];

    /// <summary>Partitions that this silo owns.</summary>
    public int CountOf(SiloId silo)
    {
        int index = Array.IndexOf(_silos, silo);
        return index < 0 ? 0 : _ownerIndexes.Count(owner => owner == index);
    }

    /// <summary>Partitions that have an owner.</summary>
    public int AssignedCount => _ownerIndexes.Count(owner => owner != NoOwner);

    /// <summary>The wire form.</summary>
    public byte[] Encode()
    {
        int bytes = HeaderBytes + 2 + 2 + (_ownerIndexes.Length * PartitionBytes);
        foreach (SiloId silo in _silos)
            bytes += 2 + Encoding.UTF8.GetByteCount(silo.Text);
        byte[] wire = new byte[bytes];
        var writer = new WireWriter(wire);
        writer.Byte(Layout);
        writer.Int64(Version.Term);
        writer.Int64(Version.Number);
        writer.Seed(HashSeed);
        writer.Byte(WireVersion);
        writer.UInt16((ushort)_silos.Length);
        foreach (SiloId silo in _silos)
        {
            int length = Encoding.UTF8.GetByteCount(silo.Text);
            writer.UInt16((ushort)length);
            Encoding.UTF8.GetBytes(silo.Text, writer.Take(length));
        }

        writer.UInt16((ushort)_ownerIndexes.Length);
        for (int partition = 0; partition < _ownerIndexes.Length; partition++)
        {
            writer.UInt16(_ownerIndexes[partition]);
            writer.Int64(_epochs[partition]);
        }

        return wire;
    }

    /// <summary>Reads the wire form. False, and no exception, for anything that is not one whole table.</summary>
    public static bool TryDecode(ReadOnlySpan<byte> wire, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out PartitionTable? table)
    {
        table = null;
        var reader = new WireReader(wire);
        if (reader.Byte() != Layout)
            return false;
        PartitionTableVersion version = new(reader.Int64(), reader.Int64());
        HashSeed hashSeed = reader.Seed();
        byte wireVersion = reader.Byte();
        if (hashSeed.IsNone || wireVersion == 0)
            return false;
        SiloId[] silos = new SiloId[reader.UInt16()];
        for (int i = 0; i < silos.Length; i++)
        {
            if (!SiloId.TryParse(Encoding.UTF8.GetString(reader.Bytes(reader.UInt16())), out silos[i]))
                return false;
        }

        int partitions = reader.UInt16();
        if (reader.Failed || reader.Remaining != partitions * PartitionBytes)
            return false;
        ushort[] owners = new ushort[partitions];
        long[] epochs = new long[partitions];
        for (int partition = 0; partition < partitions; partition++)
        {
            owners[partition] = reader.UInt16();
            epochs[partition] = reader.Int64();
            if (owners[partition] != NoOwner && owners[partition] >= silos.Length)
                return false;
        }

        table = new PartitionTable(version, hashSeed, wireVersion, silos, owners, epochs);
        return true;
    }
}
