namespace OrleansCache.Storage;

/// <summary>A memory file (-e) cannot be used; the message says which and why, for the operator.</summary>
public sealed class MemoryFileException : Exception
{
    public MemoryFileException()
    {
    }

    public MemoryFileException(string message)
        : base(message)
    {
    }

    public MemoryFileException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
