namespace OrleansCache;

/// <summary>
/// What one watcher gets. Pull it: the lines wait in a buffer of fixed size, and what does not fit is left out and counted, so that a slow watcher loses lines
/// and nothing else. Where lines are missing stands a line "skipped=N".
/// </summary>
public interface IEventFeed : IDisposable
{
    /// <summary>
    /// Copies whole lines (each ends with LF) and returns their bytes; 0: none now, and the feed's wake will be called when there are some. Until then it is
    /// not called. The destination has at least <see cref="Limits.EventLineBytesMax"/> bytes.
    /// </summary>
    int Read(Span<byte> destination);

    /// <summary>Lines left out so far, all together.</summary>
    long Skipped { get; }
}
