using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.IO.Compression;

namespace OrleansCache.HitRatio.Traces;

/// <summary>How a trace file names its keys.</summary>
public enum TraceFormat
{
    /// <summary>Text, "start count ignored ignored" a line: the keys start .. start + count - 1.</summary>
    Arc,

    /// <summary>Text, one number a line; "*" and empty lines separate and mean nothing.</summary>
    Lirs,

    /// <summary>Text, "l|s 0xADDRESS ignored" a line: the address is the key.</summary>
    Address,

    /// <summary>Binary, 4 bytes a key, big-endian.</summary>
    Be32,

    /// <summary>Binary, 8 bytes a key, big-endian.</summary>
    Be64,
}

/// <summary>
/// Reads the public trace formats as they are published, plain or compressed: .gz here, .zst and .xz through the programs zstd and xz.
/// A line that does not fit the format is an error, never skipped: a hit ratio of half a trace is worse than none.
/// </summary>
public static class TraceFile
{
    private static readonly string[] Suffixes = ["", ".gz", ".zst", ".xz"];

    /// <summary>The file of that name below the folder, with or without one of the suffixes of compression; null if there is none.</summary>
    public static string? Find(string folder, string name) =>
        Suffixes.Select(suffix => Path.Combine(folder, name + suffix)).FirstOrDefault(File.Exists);

    public static Trace Read(string path, TraceFormat format, int requestsMax)
    {
        using Process? decompressor = StartDecompressor(path);
        using Stream stream = decompressor is not null ? decompressor.StandardOutput.BaseStream
            : path.EndsWith(".gz", StringComparison.Ordinal) ? new GZipStream(File.OpenRead(path), CompressionMode.Decompress)
            : File.OpenRead(path);
        Trace trace = Trace.From(NameOf(path), ReadKeys(stream, format), requestsMax);
        if (decompressor is not null && trace.Requests.Length == requestsMax)
            decompressor.Kill();
        else if (decompressor is not null)
        {
            decompressor.WaitForExit();
            if (decompressor.ExitCode != 0)
                throw new InvalidDataException($"{decompressor.StartInfo.FileName} could not decompress {path}");
        }

        return trace.Requests.Length > 0 ? trace : throw new InvalidDataException($"{path}: no requests");
    }

    /// <summary>The keys of an uncompressed trace, one by one.</summary>
    public static IEnumerable<ulong> ReadKeys(Stream stream, TraceFormat format) => format switch
    {
        TraceFormat.Be32 => ReadBinary(stream, 4),
        TraceFormat.Be64 => ReadBinary(stream, 8),
        _ => ReadText(stream, format),
    };

    private static string NameOf(string path)
    {
        string name = Path.GetFileName(path);
        foreach (string suffix in Suffixes.Append(".trace").Append(".lis").Append(".txt"))
        {
            if (suffix.Length > 0 && name.EndsWith(suffix, StringComparison.Ordinal))
                name = name[..^suffix.Length];
        }

        return name;
    }

    private static Process? StartDecompressor(string path)
    {
        string? program = Path.GetExtension(path) switch { ".zst" => "zstd", ".xz" => "xz", _ => null };
        if (program is null)
            return null;
        return Process.Start(new ProcessStartInfo(program, ["-dcq", path]) { RedirectStandardOutput = true });
    }

    private static IEnumerable<ulong> ReadBinary(Stream stream, int keyBytes)
    {
        byte[] buffer = new byte[64 * 1024];
        while (true)
        {
            // Reads until the buffer is full or the file ends, so that a key never lies across two reads.
            int count = stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
            for (int i = 0; i + keyBytes <= count; i += keyBytes)
            {
                yield return keyBytes == 4
                    ? BinaryPrimitives.ReadUInt32BigEndian(buffer.AsSpan(i))
                    : BinaryPrimitives.ReadUInt64BigEndian(buffer.AsSpan(i));
            }

            if (count % keyBytes != 0)
                throw new InvalidDataException($"{count % keyBytes} bytes after the last key of {keyBytes} bytes");
            if (count < buffer.Length)
                yield break;
        }
    }

    private static IEnumerable<ulong> ReadText(Stream stream, TraceFormat format)
    {
        using var reader = new StreamReader(stream);
        while (reader.ReadLine() is { } line)
        {
            line = line.Trim();
            if (line.Length == 0 || (format == TraceFormat.Lirs && line == "*"))
                continue;
            (ulong start, ulong count) = ParseLine(line, format);
            for (ulong i = 0; i < count; i++)
                yield return start + i;
        }
    }

    private static (ulong Start, ulong Count) ParseLine(string line, TraceFormat format)
    {
        string[] fields = line.Split(' ');
        try
        {
            return format switch
            {
                TraceFormat.Arc => (Parse(fields[0]), Parse(fields[1])),
                TraceFormat.Address when fields[1].StartsWith("0x", StringComparison.Ordinal) =>
                    (ulong.Parse(fields[1].AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture), 1),
                TraceFormat.Lirs => (Parse(line), 1),
                _ => throw new FormatException(),
            };
        }
        catch (Exception e) when (e is FormatException or IndexOutOfRangeException or OverflowException)
        {
            throw new InvalidDataException($"not a line of a trace of format {format}: \"{line}\"", e);
        }
    }

    private static ulong Parse(string field) => ulong.Parse(field, NumberStyles.None, CultureInfo.InvariantCulture);
}
