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
