using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using OrleansCache.Client.Entries;
using OrleansCache.Client.Gateways;
using OrleansCache.Client.Wire;

namespace OrleansCache.Client;

/// <summary>
/// A distributed cache on OrleansCache's gateways, or on a memcached with meta commands. Thread-safe; make one and share it: all callers share a few
/// connections. Nothing connects before the first operation.
/// <para>
/// Failures are <see cref="OrleansCacheException"/>s, with <see cref="OrleansCacheException.Error"/> saying which. Cancelling ends the wait; what was sent
/// already still takes effect. The methods without a token block their thread: prefer the others.
/// </para>
/// </summary>
public sealed class OrleansCacheClient : IBufferDistributedCache, IAsyncDisposable, IDisposable
{
    private readonly OrleansCacheOptions _options;
    private readonly TimeProvider _time;
    private readonly GatewayPool _pool;
    private readonly CacheKey _keys;
    private readonly ClientMetrics _metrics;

    /// <summary>Throws <see cref="OptionsValidationException"/> if the options make no sense, and what reading certificates throws.</summary>
    public OrleansCacheClient(OrleansCacheOptions options, ILogger<OrleansCacheClient>? logger = null, IMeterFactory? meters = null, TimeProvider? time = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        OrleansCacheOptionsValidator.ThrowIfInvalid(options);
        _options = options;
        _time = time ?? TimeProvider.System;
        _keys = new CacheKey(options.KeyPrefix);
        _metrics = new ClientMetrics(meters);
        _pool = new GatewayPool(options, _time, logger ?? NullLogger<OrleansCacheClient>.Instance, _metrics);
        _metrics.Observe(() => _pool.Connections, () => _pool.Pending);
    }

    public byte[]? Get(string key) => Wait(GetAsync(key));

    public Task<byte[]?> GetAsync(string key, CancellationToken token = default)
    {
        WireOperation operation = Begin(WireCommand.Get, key, token, ValueUse.Array);
        ValueTask<byte[]?> result = operation.AsValue();
        _pool.Submit(operation);
        return result.AsTask();
    }

    public bool TryGet(string key, IBufferWriter<byte> destination) => Wait(TryGetAsync(key, destination).AsTask());

    public ValueTask<bool> TryGetAsync(string key, IBufferWriter<byte> destination, CancellationToken token = default)
    {
        ArgumentNullException.ThrowIfNull(destination);
        WireOperation operation = Begin(WireCommand.Get, key, token, ValueUse.Writer, destination);
        ValueTask<bool> result = operation.AsFound();
        _pool.Submit(operation);
        return result;
    }

    public void Set(string key, byte[] value, DistributedCacheEntryOptions options) => Wait(SetAsync(key, value, options));

    public Task SetAsync(string key, byte[] value, DistributedCacheEntryOptions options, CancellationToken token = default)
    {
        ArgumentNullException.ThrowIfNull(value);
        return SetAsync(key, new ReadOnlySequence<byte>(value), options, token).AsTask();
    }

    public void Set(string key, ReadOnlySequence<byte> value, DistributedCacheEntryOptions options) => Wait(SetAsync(key, value, options).AsTask());

    public ValueTask SetAsync(string key, ReadOnlySequence<byte> value, DistributedCacheEntryOptions options, CancellationToken token = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(key);
        if (value.Length > _options.ValueBytesMax)
        {
            return ValueTask.FromException(new OrleansCacheException(
                OrleansCacheError.ValueTooLarge,
                    $"The value has {value.Length} bytes; {nameof(OrleansCacheOptions.ValueBytesMax)} allows {_options.ValueBytesMax}."));
        }

        EntryLifetime lifetime = EntryLifetime.Of(options, _time.GetUtcNow());
        WireOperation operation = Begin(lifetime.IsOver ? WireCommand.Remove : WireCommand.Set, key, token);
        if (!lifetime.IsOver)
            operation.SetValue(value, (int)value.Length, in lifetime);
        ValueTask result = operation.AsValueTask();
        _pool.Submit(operation);
        return result;
    }

    public void Refresh(string key) => Wait(RefreshAsync(key));

    public Task RefreshAsync(string key, CancellationToken token = default) => Run(WireCommand.Refresh, key, token);

    public void Remove(string key) => Wait(RemoveAsync(key));

    public Task RemoveAsync(string key, CancellationToken token = default) => Run(WireCommand.Remove, key, token);

    public async ValueTask DisposeAsync()
    {
        await _pool.DisposeAsync().ConfigureAwait(false);
        _metrics.Dispose();
    }

    public void Dispose() => DisposeAsync().AsTask().GetAwaiter().GetResult();

    private Task Run(WireCommand command, string key, CancellationToken token)
    {
        WireOperation operation = Begin(command, key, token);
        ValueTask result = operation.AsValueTask();
        _pool.Submit(operation);
        return result.AsTask();
    }

    private WireOperation Begin(WireCommand command, string key, CancellationToken token, ValueUse valueUse = ValueUse.None, IBufferWriter<byte>? writer = null)
    {
        ArgumentNullException.ThrowIfNull(key);
        token.ThrowIfCancellationRequested();
        WireOperation operation = WireOperation.Rent(command, valueUse, writer, _pool.DueAt);
        operation.SetKey(_keys, key);
        operation.Watch(token);
        return operation;
    }

    [SuppressMessage("Usage", "CA2012", Justification = "A task waits so that the thread pool knows that its thread is blocked.")]
    private static void Wait(Task task) => task.GetAwaiter().GetResult();

    private static T Wait<T>(Task<T> task) => task.GetAwaiter().GetResult();
}
