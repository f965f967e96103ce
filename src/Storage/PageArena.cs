namespace OrleansCache.Storage;

public sealed class PageArena : IDisposable
{
    public PageArena(StoreOptions options) => Options = options;

    public StoreOptions Options { get; }

    public void Dispose()
    {
    }
}
