namespace OrleansCache.Membership;

/// <summary>A seed's file is not to be used. The message is one line: which file, what is wrong, what to do.</summary>
public sealed class SeedFileException : Exception
{
    public SeedFileException()
    {
    }

    public SeedFileException(string message)
        : base(message)
    {
    }

    public SeedFileException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}

/// <summary>The file of a seed in --data-dir.</summary>
public sealed class SeedFile : ISeedStore, IDisposable
{
    private SeedFile()
    {
    }

    public Guid Identity => throw new NotImplementedException();

    public ReadOnlyMemory<byte> Record => throw new NotImplementedException();

    /// <summary>The file was made by this call: the seed is a new one.</summary>
    public bool IsNew => throw new NotImplementedException();

    /// <summary>Opens DIRECTORY/seed and keeps other processes out of the directory; makes both if they are not there.</summary>
    /// <exception cref="SeedFileException">Used by another process, damaged, of another program, of a newer version, or no access.</exception>
    public static SeedFile Open(string directory) => throw new NotImplementedException();

    public void Save(ReadOnlySpan<byte> record) => throw new NotImplementedException();

    public void Dispose()
    {
    }
}
