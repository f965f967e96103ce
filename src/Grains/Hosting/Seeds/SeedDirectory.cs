using System.Text;
using OrleansCache.Membership;

namespace OrleansCache.Grains.Hosting.Seeds;

/// <summary>
/// What a silo keeps of its cluster's membership between two runs, in the directory of --data-dir: the seed's file (<see cref="SeedFile"/>), and
/// <c>known</c>, a text with the addresses of the seeds that were there last, one a line. The second is a hint, for a silo that has left the cluster or
/// never had a vote, and may be missing or out of date. Without a directory both live as long as the process.
/// </summary>
internal sealed class SeedDirectory : IDisposable
{
    private const string KnownFile = "known";
    private const int KnownBytesMax = 16 * 1024;
    private readonly string? _path;
    private string? _written;

    /// <exception cref="SeedFileException">The directory cannot be used.</exception>
    public SeedDirectory(string? path)
    {
        _path = path;
        Store = path is null ? new MemorySeedStore() : SeedFile.Open(path);
    }

    public ISeedStore Store { get; private set; }

    /// <summary>For messages; null: nothing is kept.</summary>
    public string? SeedPath => _path is null ? null : Path.Combine(_path, "seed");

    /// <summary>Another seed, which has promised nothing, takes the place of this one. Only for a seed that no cluster counts on.</summary>
    public void BeginAnew()
    {
        Forget();
        Store = _path is null ? new MemorySeedStore() : SeedFile.Open(_path);
    }

    /// <summary>Removes the seed's file: the silo has left its cluster. Nothing may be saved after that.</summary>
    public void Forget()
    {
        Dispose();
        try
        {
            if (SeedPath is { } file)
                File.Delete(file);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // It stays; its seed is no member of any set, and will hear so.
        }
    }

    public IReadOnlyList<SeedAddress> ReadKnown()
    {
        try
        {
            if (_path is null || new FileInfo(Path.Combine(_path, KnownFile)) is not { Exists: true, Length: <= KnownBytesMax } file)
                return [];
            List<SeedAddress> known = [];
            foreach (string line in File.ReadLines(file.FullName, Encoding.UTF8))
            {
                if (SeedAddress.TryParse(line.Trim(), out SeedAddress address))
                    known.Add(address);
            }

            return known;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    public void WriteKnown(IEnumerable<SeedAddress> seeds)
    {
        string text = string.Concat(seeds.Select(seed => seed + "\n").Order(StringComparer.Ordinal));
        if (_path is null || text == _written)
            return;
        try
        {
            string file = Path.Combine(_path, KnownFile);
            File.WriteAllText(file + ".new", text);
            File.Move(file + ".new", file, overwrite: true);
            _written = text;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // A hint less. Whether the disk works is told by the seed's file.
        }
    }

    public void Dispose() => (Store as IDisposable)?.Dispose();
}
