using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;
using OrleansCache.Grains.Hosting.Security;
using OrleansCache.Membership;

namespace OrleansCache.Grains.Hosting.Seeds;

/// <summary>
/// The way to other silos' seed ports: one connection each, opened when there is something to ask, with several questions under way. Names are resolved
/// whenever a connection is opened, so that a silo that comes back at another address is found. Bounded: <see cref="PlacesMax"/> places, <see
/// cref="SeedLink.PendingMax"/> questions each; a connection that does not answer for <see cref="SeedLink.SilenceMax"/> is given up.
/// </summary>
/// <param name="mine">What this silo says of itself, first of all, on each connection.</param>
/// <param name="greeted">Called with what the other end has said to that.</param>
internal sealed class SeedConnections(ClusterProbe probe, TimeProvider time, Func<SeedGreeting> mine, Action<SeedGreeting> greeted)
    : ISeedTransport, IAsyncDisposable
{
    private const int PlacesMax = 64;
    private readonly ConcurrentDictionary<SeedAddress, Place> _places = [];
    private readonly CancellationTokenSource _stop = new();
    private bool _disposed;

    /// <summary>This silo's own seed, which is asked without a connection.</summary>
    public (SeedAddress Address, Func<ReadOnlyMemory<byte>, ValueTask<ReadOnlyMemory<byte>>> Answer)? Local { get; set; }

    public async ValueTask<ReadOnlyMemory<byte>> AskAsync(SeedAddress seed, ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
    {
        if (Local is { } local && local.Address == seed)
            return await local.Answer(request);
        SeedFrame answer = await AskAsync(seed, SeedFrameKind.Register, request, cancellationToken);
        return answer.Payload;
    }

    /// <summary>Throws <see cref="HandshakeException"/> if the place cannot be reached or is none of the cluster's.</summary>
    public async Task<SeedGreeting> GreetAsync(SeedAddress seed, CancellationToken cancellationToken) =>
        await GreetAsync(await ConnectAsync(seed, cancellationToken), cancellationToken);

    /// <summary>Whether there is a connection that works, as far as is known.</summary>
    public bool IsConnected(SeedAddress seed) => _places.TryGetValue(seed, out Place? place) && place.Link is { IsAlive: true };

    public async ValueTask DisposeAsync()
    {
        if (_disposed)
            return;
        _disposed = true;
        await _stop.CancelAsync();
        foreach (Place place in _places.Values)
        {
            if (place.Link is { } link)
                await link.DisposeAsync();
        }

        _stop.Dispose();
    }

    private async Task<SeedFrame> AskAsync(SeedAddress seed, SeedFrameKind kind, ReadOnlyMemory<byte> payload, CancellationToken cancellationToken)
    {
        SeedLink link = await ConnectAsync(seed, cancellationToken);
        SeedFrame answer = await link.AskAsync(kind, payload, cancellationToken);
        return answer.Kind == kind ? answer : throw new IOException($"cannot: {Encoding.UTF8.GetString(answer.Payload.Span)}");
    }

    private async Task<SeedLink> ConnectAsync(SeedAddress seed, CancellationToken cancellationToken)
    {
        if (_places.Count >= PlacesMax)
            Forget();
        Place place = _places.GetOrAdd(seed, static _ => new Place());
        Task<SeedLink> connecting;
        lock (place)
        {
            place.UsedAt = time.GetTimestamp();
            if (place.Connecting is { } known && (!known.IsCompleted || (known.IsCompletedSuccessfully && known.Result.IsAlive)))
                connecting = known;
            else
            {
                using AsyncFlowControl flow = ExecutionContext.SuppressFlow();
                place.Connecting = connecting = Task.Run(() => OpenAsync(seed, _stop.Token), _stop.Token);
                _ = connecting.ContinueWith(
                    static task => task.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
            }
        }

        return await connecting.WaitAsync(cancellationToken);
    }

    private async Task<SeedLink> OpenAsync(SeedAddress seed, CancellationToken cancellationToken)
    {
        IPAddress[] addresses = await ResolveAsync(seed.Host, cancellationToken);
        HandshakeException? failure = null;
        foreach (IPAddress address in addresses)
        {
            try
            {
                MemberConnection connection = await probe.OpenAsync(new IPEndPoint(address, seed.Port), PeerKind.Seed, cancellationToken);
                connection.KeepAlive();
                SeedLink link = new(connection, time);
                try
                {
                    await GreetAsync(link, cancellationToken);
                    return link;
                }
                catch
                {
                    await link.DisposeAsync();
                    throw;
                }
            }
            catch (HandshakeException exception)
            {
                failure = exception;
            }
            catch (Exception exception) when (exception is IOException or TimeoutException)
            {
                failure = new HandshakeException(exception.Message, mayRetry: true);
            }
        }

        throw failure!;
    }

    private async Task<SeedGreeting> GreetAsync(SeedLink link, CancellationToken cancellationToken)
    {
        SeedFrame answer = await link.AskAsync(SeedFrameKind.Greet, mine().Encode(), cancellationToken).WaitAsync(SeedLink.SilenceMax, time, cancellationToken);
        SeedGreeting theirs = SeedGreeting.Decode(answer.Payload.Span) ?? throw new HandshakeException("is a silo of another version");
        greeted(theirs);
        return theirs;
    }

    /// <summary>At least one. Throws <see cref="HandshakeException"/> if the name has no address now.</summary>
    public static async Task<IPAddress[]> ResolveAsync(string host, CancellationToken cancellationToken)
    {
        if (IPAddress.TryParse(host.Trim('[', ']'), out IPAddress? literal))
            return [literal];
        try
        {
            IPAddress[] addresses = await Dns.GetHostAddressesAsync(host, cancellationToken);
            if (addresses.Length > 0)
                return [.. addresses.OrderBy(address => address.AddressFamily != AddressFamily.InterNetwork).ThenBy(address => address.ToString())];
        }
        catch (SocketException exception)
        {
            throw new HandshakeException($"the name has no address: {exception.Message}", mayRetry: true) { IsUnresolved = true };
        }
        catch (ArgumentException exception)
        {
            throw new HandshakeException($"the name is none: {exception.Message}");
        }

        throw new HandshakeException("the name has no address", mayRetry: true) { IsUnresolved = true };
    }

    /// <summary>The places that were not asked for longest.</summary>
    private void Forget()
    {
        foreach ((SeedAddress seed, Place place) in _places.OrderBy(pair => pair.Value.UsedAt).Take(PlacesMax / 4))
        {
            if (_places.TryRemove(seed, out _) && place.Link is { } link)
                _ = link.DisposeAsync().AsTask();
        }
    }

    private sealed class Place
    {
        public Task<SeedLink>? Connecting { get; set; }

        public long UsedAt { get; set; }

        public SeedLink? Link => Connecting is { IsCompletedSuccessfully: true } task ? task.Result : null;
    }
}
