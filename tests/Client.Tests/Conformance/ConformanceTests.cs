using OrleansCache.Client.Tests.Support;

namespace OrleansCache.Client.Tests.Conformance;

/// <summary>A cache for all tests of a class. Its clock only goes forward, and each test has keys of its own.</summary>
public abstract class CacheFixture : IAsyncLifetime
{
    private CacheUnderTest? _cache;

    internal CacheUnderTest Cache => _cache!;

    internal abstract Task<CacheUnderTest> StartAsync();

    public async Task InitializeAsync() => _cache = await StartAsync();

    public async Task DisposeAsync() => await _cache!.DisposeAsync();
}

public sealed class GatewayFixture : CacheFixture
{
    internal override async Task<CacheUnderTest> StartAsync() => await GatewayCache.StartAsync();
}

public sealed class ProcessFixture : CacheFixture
{
    internal override async Task<CacheUnderTest> StartAsync() => await ProcessCache.StartAsync();
}

/// <summary>Over a socket, to a gateway in this process.</summary>
public sealed class GatewayConformanceTests(GatewayFixture fixture) : DistributedCacheConformance(fixture), IClassFixture<GatewayFixture>;

/// <summary>Over a socket, to the built server.</summary>
public sealed class ProcessConformanceTests(ProcessFixture fixture) : DistributedCacheConformance(fixture), IClassFixture<ProcessFixture>;

public sealed class InProcessFixture : CacheFixture
{
    internal override Task<CacheUnderTest> StartAsync() => Task.FromResult<CacheUnderTest>(new RouterCache());
}

/// <summary>Without a socket, over the router of a single node.</summary>
public sealed class InProcessConformanceTests(InProcessFixture fixture) : DistributedCacheConformance(fixture), IClassFixture<InProcessFixture>;

public sealed class DeferredFixture : CacheFixture
{
    internal override Task<CacheUnderTest> StartAsync() => Task.FromResult<CacheUnderTest>(new RouterCache(defers: true));
}

/// <summary>Without a socket, over a router that answers everything later, as another silo does.</summary>
public sealed class DeferredConformanceTests(DeferredFixture fixture) : DistributedCacheConformance(fixture), IClassFixture<DeferredFixture>;
