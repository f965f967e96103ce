using OrleansCache.Membership;

namespace OrleansCache.Grains.Tests.Hosting.Seeds;

/// <summary>The register in one place, without seeds: for what stands on it.</summary>
internal sealed class MemoryRegister : IClusterRegister
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, DateTimeOffset> _alive = [];
    private RegisterSnapshot _value = new(0, default, new SeedSet(new SeedId(new SeedAddress("127.0.0.1", 1), Guid.NewGuid())), "test");

    /// <summary>Thrown by the next writing, after it has taken effect.</summary>
    public Exception? NextWriteFails { get; set; }

    /// <summary>Runs once, between a writer's reading and its writing.</summary>
    public Action? BeforeNextWrite { get; set; }

    public RegisterSnapshot Value => _value;

    public async ValueTask<RegisterSnapshot> ReadAsync(CancellationToken cancellationToken = default)
    {
        await Task.Yield();
        lock (_lock)
        {
            return _value with { Alive = new Dictionary<string, DateTimeOffset>(_alive) };
        }
    }

    public async ValueTask<WriteResult> TryWriteAsync(long expectedVersion, ReadOnlyMemory<byte> content, CancellationToken cancellationToken = default)
    {
        await Task.Yield();
        Action? before = BeforeNextWrite;
        BeforeNextWrite = null;
        before?.Invoke();
        lock (_lock)
        {
            if (_value.Version != expectedVersion)
                return new WriteResult(false, _value);
            _value = _value with { Version = expectedVersion + 1, Content = content.ToArray() };
            if (NextWriteFails is { } failure)
            {
                NextWriteFails = null;
                throw failure;
            }

            return new WriteResult(true, _value);
        }
    }

    public async ValueTask<WriteResult> TryChangeSeedsAsync(long expectedVersion, SeedChange change, CancellationToken cancellationToken = default)
    {
        await Task.Yield();
        lock (_lock)
        {
            if (_value.Version != expectedVersion)
                return new WriteResult(false, _value);
            IEnumerable<SeedId> seeds = _value.Seeds.Where(seed => seed.Identity != change.Remove);
            _value = _value with { Version = expectedVersion + 2, Seeds = new SeedSet(change.Add is { } added ? seeds.Append(added) : seeds) };
            return new WriteResult(true, _value);
        }
    }

    public ValueTask ReportAliveAsync(string rowKey, DateTimeOffset time, CancellationToken cancellationToken = default)
    {
        lock (_lock)
        {
            _alive[rowKey] = time;
        }

        return ValueTask.CompletedTask;
    }
}
