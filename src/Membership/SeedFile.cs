using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace OrleansCache.Membership;

/// <summary>
/// The file of a seed, DIRECTORY/seed: its identity, and what it has promised and accepted last. Two slots are written in turn, so a record is replaced by
/// one write and one fsync, and a write that breaks off leaves the other slot, which is the record before.
/// <code>
///  0          4096                   4096 + S               (S = <see cref="SlotBytes"/>; holes until they are used)
///  +----------+----------------------+----------------------+
///  |head      | slot 0               | slot 1               |
///  +----------+----------------------+----------------------+
///  head: 0 magic(8) | 8 format(4) | 12 identity(16) | 28 checksum of 0-27(4)
///  slot: 0 sequence(8) | 8 length(4) | 12 checksum(4) of the identity, 0-11 and the record | 16 record
/// </code>
/// Little endian; CRC-32C. The slot with the higher sequence counts. The file is made under another name and renamed once it is whole, with an empty record
/// in slot 0: a whole file always has a slot that counts. DIRECTORY/seed.lock is locked while the file is open.
/// Non-goal: a disk that loses or alters what it has confirmed. A newest slot that has rotted looks like a write that broke off.
/// </summary>
public sealed partial class SeedFile : ISeedStore, IDisposable
{
    internal const int SlotHeadBytes = 16;
    internal const int HeadBytes = 4096;
    internal const int SlotBytes = (Limits.SeedRecordBytesMax + SlotHeadBytes + 4095) / 4096 * 4096;
    private const int Format = 1;
    private const int SharingViolationWindows = unchecked((int)0x80070020);
    private const int WouldBlockUnix = 11;
    private const int HeadUsedBytes = 32;

    private readonly FileStream _lock;
    private readonly SafeFileHandle _file;
    private readonly string _path;
    private long _sequence;
    private int _slot;

    private SeedFile(FileStream locked, SafeFileHandle file, string path, bool isNew)
    {
        _lock = locked;
        _file = file;
        _path = path;
        IsNew = isNew;
        byte[] head = Read(0, HeadUsedBytes);
        if (!head.AsSpan().StartsWith(Magic))
            throw new SeedFileException($"{path} is no file of an OrleansCache seed: move it away, or give another --data-dir");
        int format = head.Length < 12 ? 0 : BinaryPrimitives.ReadInt32LittleEndian(head.AsSpan(8));
        if (format > Format)
            throw new SeedFileException($"{path} was written by a newer OrleansCache (format {format}, this one knows {Format}): use that version");
        if (head.Length < HeadUsedBytes || format != Format || Checksum(0, head.AsSpan(0, 28)) != BinaryPrimitives.ReadUInt32LittleEndian(head.AsSpan(28)))
            throw Damaged(path);
        Identity = new Guid(head.AsSpan(12, 16), bigEndian: true);
        byte[]? first = ReadSlot(0, out long firstSequence), second = ReadSlot(1, out long secondSequence);
        if (first is null && second is null)
            throw Damaged(path);
        _slot = second is not null && (first is null || secondSequence > firstSequence) ? 1 : 0;
        _sequence = _slot == 0 ? firstSequence : secondSequence;
        Record = _slot == 0 ? first : second;
    }

    public Guid Identity { get; }

    public ReadOnlyMemory<byte> Record { get; }

    /// <summary>The file was made by this call: the seed is a new one.</summary>
    public bool IsNew { get; }

    /// <summary>How often the disk was waited for.</summary>
    internal int SyncCount { get; private set; }

    private static ReadOnlySpan<byte> Magic => "ORCASEED"u8;

    /// <summary>Opens DIRECTORY/seed and keeps other processes out of it; makes both if they are not there.</summary>
    /// <exception cref="SeedFileException">Used by another process, damaged, of another program, of a newer version, or no access.</exception>
    public static SeedFile Open(string directory)
    {
        string path = Path.Combine(Path.GetFullPath(directory), "seed");
        FileStream? locked = null;
        SafeFileHandle? file = null;
        try
        {
            Directory.CreateDirectory(directory);
            locked = Lock(path + ".lock");
            bool isNew = !File.Exists(path);
            if (isNew)
                Make(path);
            file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.Read);
            var opened = new SeedFile(locked, file, path, isNew);
            (locked, file) = (null, null);
            return opened;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            string why = exception.Message.ReplaceLineEndings(" ").TrimEnd('.');
            throw new SeedFileException($"{path} cannot be used: {why}; give a --data-dir that can be written", exception);
        }
        finally
        {
            file?.Dispose();
            locked?.Dispose();
        }
    }

    public void Save(ReadOnlySpan<byte> record)
    {
        if (record.Length > Limits.SeedRecordBytesMax)
            throw new IOException($"{_path}: a record of {record.Length} bytes is too long");
        int slot = 1 - _slot;
        RandomAccess.Write(_file, MakeSlot(Identity, _sequence + 1, record), SlotOffset(slot));
        SyncCount++;
        RandomAccess.FlushToDisk(_file);
        // Only now: a save that failed is overwritten by the next one, never the record that counts.
        _slot = slot;
        _sequence++;
    }

    public void Dispose()
    {
        _file.Dispose();
        _lock.Dispose();
    }

    internal static long SlotOffset(int slot) => HeadBytes + ((long)slot * SlotBytes);

    private static SeedFileException Damaged(string path) => new($"{path} is damaged: move it away, and the seed comes back as a new one, which the other"
        + " seeds must take in (orleanscache seeds list shows them)");

    private static FileStream Lock(string path)
    {
        try
        {
            return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException exception) when (exception.HResult is SharingViolationWindows or WouldBlockUnix)
        {
            throw new SeedFileException($"{Path.GetDirectoryName(path)} is the --data-dir of another process that runs: give each process its own", exception);
        }
    }

    private static void Make(string path)
    {
        string temporary = path + ".new";
        byte[] head = new byte[HeadBytes];
        Magic.CopyTo(head);
        BinaryPrimitives.WriteInt32LittleEndian(head.AsSpan(8), Format);
        var identity = new Guid(RandomNumberGenerator.GetBytes(16));
        identity.TryWriteBytes(head.AsSpan(12), bigEndian: true, out _);
        BinaryPrimitives.WriteUInt32LittleEndian(head.AsSpan(28), Checksum(0, head.AsSpan(0, 28)));
        using (SafeFileHandle file = File.OpenHandle(temporary, FileMode.Create, FileAccess.ReadWrite, FileShare.None))
        {
            RandomAccess.Write(file, head, 0);
            RandomAccess.Write(file, MakeSlot(identity, 1, []), HeadBytes);
            RandomAccess.FlushToDisk(file);
        }

        File.Move(temporary, path);
        SyncDirectory(Path.GetDirectoryName(path)!);
    }

    private static byte[] MakeSlot(Guid identity, long sequence, ReadOnlySpan<byte> record)
    {
        byte[] slot = new byte[SlotHeadBytes + record.Length];
        BinaryPrimitives.WriteInt64LittleEndian(slot, sequence);
        BinaryPrimitives.WriteInt32LittleEndian(slot.AsSpan(8), record.Length);
        record.CopyTo(slot.AsSpan(SlotHeadBytes));
        BinaryPrimitives.WriteUInt32LittleEndian(slot.AsSpan(12), SlotChecksum(identity, slot));
        return slot;
    }

    private static uint SlotChecksum(Guid identity, ReadOnlySpan<byte> slot)
    {
        Span<byte> owner = stackalloc byte[16];
        identity.TryWriteBytes(owner, bigEndian: true, out _);
        return Checksum(Checksum(Checksum(0, owner), slot[..12]), slot[SlotHeadBytes..]);
    }

    private static uint Checksum(uint before, ReadOnlySpan<byte> bytes)
    {
        uint crc = ~before;
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        foreach (byte value in bytes)
            crc = BitOperations.Crc32C(crc, value);
        return ~crc;
    }

    /// <summary>Null: the slot was never written, or not to its end.</summary>
    private byte[]? ReadSlot(int slot, out long sequence)
    {
        byte[] head = Read(SlotOffset(slot), SlotHeadBytes);
        sequence = head.Length == SlotHeadBytes ? BinaryPrimitives.ReadInt64LittleEndian(head) : 0;
        int length = sequence <= 0 ? -1 : BinaryPrimitives.ReadInt32LittleEndian(head.AsSpan(8));
        if (length is < 0 or > Limits.SeedRecordBytesMax)
            return null;
        byte[] whole = Read(SlotOffset(slot), SlotHeadBytes + length);
        if (whole.Length != SlotHeadBytes + length || SlotChecksum(Identity, whole) != BinaryPrimitives.ReadUInt32LittleEndian(whole.AsSpan(12)))
            return null;
        return whole[SlotHeadBytes..];
    }

    /// <summary>Fewer bytes where the file ends.</summary>
    private byte[] Read(long offset, int count)
    {
        byte[] bytes = new byte[count];
        int read = 0;
        while (read < count && RandomAccess.Read(_file, bytes.AsSpan(read), offset + read) is var more and not 0)
            read += more;
        return bytes[..read];
    }

    /// <summary>Makes a rename last. Elsewhere than on Unix the file system sees to it.</summary>
    private static unsafe void SyncDirectory(string directory)
    {
        if (OperatingSystem.IsWindows())
            return;
        int descriptor;
        fixed (byte* path = Encoding.UTF8.GetBytes(directory + "\0"))
            descriptor = OpenFile(path, 0);
        if (descriptor < 0)
            throw new IOException($"{directory} cannot be opened (error {Marshal.GetLastPInvokeError()})");
        int synced = Sync(descriptor);
        int error = Marshal.GetLastPInvokeError();
        _ = CloseFile(descriptor);
        const int NotSupported = 22;
        if (synced != 0 && error != NotSupported)
            throw new IOException($"{directory} cannot be written (error {error})");
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true)]
    private static unsafe partial int OpenFile(byte* path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Sync(int descriptor);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int CloseFile(int descriptor);
}
