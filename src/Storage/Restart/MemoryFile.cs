using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace OrleansCache.Storage;

/// <summary>What a partition left in a memory file. Little endian like the machine.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct PartitionRecord
{
    public const uint OpenFlag = 1;

    /// <summary>A flush has been answered, but some of what it took away still lies in the pages.</summary>
    public const uint FlushPendingFlag = 2;

    /// <summary>
    /// What is held is the newest there is: this process serves it, and nobody else may do so before it says so. Not set while items arrive from another silo,
    /// nor once another silo has got them all.
    /// </summary>
    public const uint ServedFlag = 4;

    public ulong Sequence;

    /// <summary>Items whose CAS is at most this were flushed.</summary>
    public ulong FlushedCas;

    /// <summary>The epoch in which it was served here.</summary>
    public long Epoch;

    /// <summary>The highest epoch in which anybody is known to have held it; outlives what is held here.</summary>
    public long KnownEpoch;
    public uint FlushAt;
    public uint Flags;
}

/// <summary>
/// The file behind an arena (-e): the arena's pages are its pages, mapped shared, so what was stored is in it when the process ends, however it ends.
/// <code>
///  0        4096                      P            H                        (H is a multiple of the page size)
///  +--------+-------------------------+------------+------------------------+
///  |head    | 40 bytes a partition    | 4 bytes    | pages, from number 0 on|
///  |        | (PartitionRecord)       | a page     |                        |
///  +--------+-------------------------+------------+------------------------+
///  head: 0 magic(8) | 8 version(4) | 12 state(4) | 16 geometry(8) | 24 pages(4) | 28 shards(4) | 32 hash seed(16) | 48 checksum of 0-11 and 16-47(4)
///        52 the machine's start(16) | 68 last seen(4) | 72 silos(4) | 80 table's term(8)
///  a page: 0 slab class + 1, 0 = none(1) | 1 unused(1) | 2 shard(2)
/// </code>
/// Only chunks whose header says Item count when it is read again; what an item must satisfy then is <see cref="MemoryFileReader"/>'s business.
/// Goals: nothing is written but what is stored anyway; a file that is not ours is never touched. Non-goal: to survive a loss of power: pages reach the disk
/// in any order, so what was deleted could come back. A file that was in use when the machine stopped is not read.
/// </summary>
internal sealed unsafe partial class MemoryFile : IDisposable
{
    private const ulong Magic = 0x5A45_4843_4143_524F; // "ORCACHEZ"
    private const uint Version = 2;
    private const uint StateInUse = 1;
    private const uint StateClosed = 2;
    private const int HeadBytes = 4096;
    private const int GeometryOffset = 16, PagesOffset = 24, ShardsOffset = 28, SeedOffset = 32, ChecksumOffset = 48;
    private const int MachineStartOffset = 52, MachineStartBytes = 16, LastSeenOffset = 68, SilosOffset = 72, TermOffset = 80;

    private readonly FileStream _file;
    private readonly byte* _start;
    private readonly nuint _bytes;

    private MemoryFile(FileStream file, byte* start, nuint bytes, int partitionCount, long dataOffset)
    {
        _file = file;
        _start = start;
        _bytes = bytes;
        Records = (PartitionRecord*)(start + HeadBytes);
        PageTable = (uint*)(start + HeadBytes + ((long)partitionCount * sizeof(PartitionRecord)));
        Pages = start + dataOffset;
    }

    public PartitionRecord* Records { get; }

    /// <summary>For each page its slab class + 1 (0 = none) and, from bit 16 on, its shard.</summary>
    public uint* PageTable { get; }

    public byte* Pages { get; }

    /// <summary>The file held an arena of this geometry.</summary>
    public bool IsWarm { get; private set; }

    /// <summary>It was closed in order, so that its records are exact.</summary>
    public bool WasClosed { get; private set; }

    /// <summary>Why it is not warm; null where there is nothing to say.</summary>
    public string? Refusal { get; private set; }

    /// <summary>It is not a new one: it held something once, whether or not that can be used.</summary>
    public bool IsOld => IsWarm || Refusal is not null;

    /// <summary>When the process last said that it serves what is in the file; Unix seconds.</summary>
    public uint LastSeen
    {
        get => Volatile.Read(ref *(uint*)(_start + LastSeenOffset));
        set => Volatile.Write(ref *(uint*)(_start + LastSeenOffset), value);
    }

    /// <summary>How many silos the cluster had at last.</summary>
    public int SiloCount
    {
        get => Volatile.Read(ref *(int*)(_start + SilosOffset));
        set => Volatile.Write(ref *(int*)(_start + SilosOffset), value);
    }

    /// <summary>The term of the newest partition table.</summary>
    public long TableTerm
    {
        get => Volatile.Read(ref *(long*)(_start + TermOffset));
        set => Volatile.Write(ref *(long*)(_start + TermOffset), value);
    }

    public HashSeed Seed => HashSeed.Read(new ReadOnlySpan<byte>(_start + SeedOffset, HashSeed.Bytes));

    public int ShardCount => (int)BinaryPrimitives.ReadUInt32LittleEndian(new ReadOnlySpan<byte>(_start + ShardsOffset, 4));

    /// <summary>
    /// Opens or creates the file for an arena of so many pages. Throws <see cref="MemoryFileException"/> if it cannot be used, or is not empty and not ours:
    /// then it is as it was.
    /// </summary>
    public static MemoryFile Open(string path, StoreOptions options, int pageBytes, int pageCount, int granuleBytes, int shardCount)
    {
        long tables = HeadBytes + ((long)options.PartitionCount * sizeof(PartitionRecord)) + ((pageCount + 1L) * sizeof(uint));
        long dataOffset = (tables + pageBytes - 1) / pageBytes * pageBytes;
        long bytes = dataOffset + ((pageCount + 1L) * pageBytes);
        ulong geometry = GeometryOf(options, pageBytes, granuleBytes);
        FileStream file = OpenFile(path);
        try
        {
            (bool isOurs, string? refusal) = Examine(file, geometry, pageCount, bytes, path, options.MemoryFileAgeMax);
            if (!isOurs)
                file.SetLength(0);
            if (file.Length != bytes)
                Allocate(file, bytes, path);
            byte* start = (byte*)Map(null, (nuint)bytes, ProtReadWrite, MapShared, file.SafeFileHandle, 0);
            if ((nint)start == -1)
                throw new MemoryFileException($"{path} cannot be mapped into memory: {Marshal.GetLastPInvokeErrorMessage()}");
            var memory = new MemoryFile(file, start, (nuint)bytes, options.PartitionCount, dataOffset) { IsWarm = isOurs, Refusal = refusal };
            if (isOurs)
            {
                memory.WasClosed = memory.State == StateClosed;
                memory.State = StateInUse;
            }
            else
            {
                memory.WriteHead(geometry, pageCount, shardCount);
            }

            s_machineStart.CopyTo(new Span<byte>(start + MachineStartOffset, MachineStartBytes));

            return memory;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>From now on keys are hashed under this seed. What lies in the file must have been read, or be forgotten, by then.</summary>
    public void UseSeed(HashSeed seed)
    {
        seed.Write(new Span<byte>(_start + SeedOffset, HashSeed.Bytes));
        Seal();
    }

    /// <summary>Forgets everything in the file. Pages that the arena has taken over by now stay its pages.</summary>
    public void Forget(int pageCount, int partitionCount)
    {
        if (IsWarm)
            new Span<uint>(PageTable, pageCount + 1).Clear();
        new Span<PartitionRecord>(Records, partitionCount).Clear();
        SiloCount = 0;
        TableTerm = 0;
        IsWarm = false;
    }

    /// <summary>Remembers in which epochs partitions are held, wherever they are.</summary>
    public void NoteEpochs(ReadOnlySpan<long> epochs)
    {
        for (int i = 0; i < epochs.Length; i++)
        {
            if (epochs[i] > Records[i].KnownEpoch)
                Records[i].KnownEpoch = epochs[i];
        }
    }

    /// <summary>What it held has been taken over.</summary>
    public void EndReading() => IsWarm = false;

    /// <summary>Closes the file in order: only what has reached the disk counts as closed.</summary>
    public void Dispose()
    {
        RandomAccess.FlushToDisk(_file.SafeFileHandle);
        State = StateClosed;
        _ = Unmap(_start, _bytes);
        _file.Dispose();
    }

    private uint State
    {
        get => Volatile.Read(ref *(uint*)(_start + 12));
        set => Volatile.Write(ref *(uint*)(_start + 12), value);
    }

    private static FileStream OpenFile(string path)
    {
        try
        {
            var options = new FileStreamOptions
            {
                Mode = FileMode.OpenOrCreate,
                Access = FileAccess.ReadWrite,
                Share = FileShare.None, // a lock: two processes never share one
                BufferSize = 0,
            };
            if (!OperatingSystem.IsWindows())
                options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            return new FileStream(path, options);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new MemoryFileException($"the memory file {path} cannot be opened: {exception.Message}", exception);
        }
    }

    /// <summary>Whether the file holds an arena of this geometry; if not, why. Throws if the file is somebody else's.</summary>
    private static (bool IsOurs, string? Refusal) Examine(FileStream file, ulong geometry, int pageCount, long bytes, string path, TimeSpan? ageMax)
    {
        if (file.Length == 0)
            return (false, null);
        Span<byte> head = stackalloc byte[LastSeenOffset + 4];
        int read = RandomAccess.Read(file.SafeFileHandle, head, 0);
        if (read < head.Length || BinaryPrimitives.ReadUInt64LittleEndian(head) != Magic)
            throw new MemoryFileException($"{path} is not a memory file of OrleansCache and is left as it is; name another file, or remove it");
        if (BinaryPrimitives.ReadUInt32LittleEndian(head[8..]) != Version)
            return (false, "it was written by another version");
        if (ChecksumOf(head) != BinaryPrimitives.ReadUInt32LittleEndian(head[ChecksumOffset..]))
            return (false, "its head is damaged");
        if (BinaryPrimitives.ReadUInt64LittleEndian(head[GeometryOffset..]) != geometry
            || BinaryPrimitives.ReadUInt32LittleEndian(head[PagesOffset..]) != (uint)pageCount)
            return (false, "it was written with other options (-m, -f, -n, -C or --partitions), or by a silo and not a single node, or the other way round");
        if (file.Length != bytes)
            return (false, "it has been cut short");
        bool isSameStart = head.Slice(MachineStartOffset, MachineStartBytes).SequenceEqual(s_machineStart);
        if (BinaryPrimitives.ReadUInt32LittleEndian(head[12..]) != StateClosed && !isSameStart)
            return (false, "the machine stopped while it was in use");
        if (ageMax is { } max)
        {
            uint lastSeen = BinaryPrimitives.ReadUInt32LittleEndian(head[LastSeenOffset..]);
            if (lastSeen == 0)
                return (false, null); // it never served anything
            long age = DateTimeOffset.UtcNow.ToUnixTimeSeconds() - lastSeen;
            if (age > max.TotalSeconds)
                return (false, $"its items were last served {age} s ago, and --memory-file-age is {max.TotalSeconds:0}");
            if (age < -ClockStepSecondsMax)
                return (false, "it was used at a time that is still to come by this machine's clock");
        }

        return (true, null);
    }

    /// <summary>A clock that was put back by more than this makes a file's age unknown.</summary>
    private const int ClockStepSecondsMax = 5;

    /// <summary>Tells one start of this machine from another; zeros where the system does not say it.</summary>
    private static readonly byte[] s_machineStart = ReadMachineStart();

    private static byte[] ReadMachineStart()
    {
        try
        {
            return Guid.Parse(File.ReadAllText("/proc/sys/kernel/random/boot_id")).ToByteArray();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or FormatException)
        {
            return new byte[MachineStartBytes];
        }
    }

    /// <summary>Takes the disk's room now: a page for which there is none later would end the process.</summary>
    private static void Allocate(FileStream file, long bytes, string path)
    {
        int error = ReserveRoom(file.SafeFileHandle, 0, bytes);
        if (error != 0)
        {
            file.SetLength(0);
            throw new MemoryFileException($"there is no room for the {bytes} bytes of {path}: {Marshal.GetPInvokeErrorMessage(error)}");
        }
    }

    private void WriteHead(ulong geometry, int pageCount, int shardCount)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(new Span<byte>(_start + 8, 4), Version);
        State = StateInUse;
        BinaryPrimitives.WriteUInt64LittleEndian(new Span<byte>(_start + GeometryOffset, 8), geometry);
        BinaryPrimitives.WriteUInt32LittleEndian(new Span<byte>(_start + PagesOffset, 4), (uint)pageCount);
        BinaryPrimitives.WriteUInt32LittleEndian(new Span<byte>(_start + ShardsOffset, 4), (uint)shardCount);
        BinaryPrimitives.WriteUInt64LittleEndian(new Span<byte>(_start, 8), Magic);
        Seal();
    }

    private void Seal() =>
        BinaryPrimitives.WriteUInt32LittleEndian(new Span<byte>(_start + ChecksumOffset, 4), ChecksumOf(new ReadOnlySpan<byte>(_start, ChecksumOffset)));

    /// <summary>Of all but the state, which changes in use.</summary>
    private static uint ChecksumOf(ReadOnlySpan<byte> head)
    {
        uint crc = ~0u;
        for (int offset = 0; offset < ChecksumOffset; offset += 4)
        {
            if (offset != 12)
                crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt32LittleEndian(head[offset..]));
        }

        return ~crc;
    }

    /// <summary>Everything besides the number of pages that decides where an item lies and what its bytes mean.</summary>
    private static ulong GeometryOf(StoreOptions options, int pageBytes, int granuleBytes)
    {
        var sizes = new SlabClasses(options.ChunkBytesMin, options.GrowthFactor, granuleBytes, pageBytes, ItemHeader.Bytes + sizeof(uint));
        uint low = ~0u, high = 0;
        Add((ulong)pageBytes);
        Add((ulong)granuleBytes);
        Add((ulong)options.PartitionCount);
        Add(options.NoCas ? 1u : 0u);
        Add(options.MemoryFileAgeMax is null ? 0u : 1u);
        for (int c = 0; c < sizes.Count; c++)
            Add((ulong)sizes.ChunkBytes(c));
        return ((ulong)high << 32) | low;

        void Add(ulong value)
        {
            low = BitOperations.Crc32C(low, value);
            high = BitOperations.Crc32C(high, value ^ low);
        }
    }

    private const int ProtReadWrite = 0x1 | 0x2;
    private const int MapShared = 0x01;

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial void* Map(void* address, nuint length, int protection, int flags, SafeFileHandle file, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(void* address, nuint length);

    [LibraryImport("libc", EntryPoint = "posix_fallocate")]
    private static partial int ReserveRoom(SafeFileHandle file, long offset, long length);
}
