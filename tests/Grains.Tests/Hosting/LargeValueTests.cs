using System.Diagnostics.Tracing;
using System.Globalization;
using System.Text;
using OrleansCache.Grains.Hosting;
using OrleansCache.Ownership.Routing;
using Xunit.Abstractions;

namespace OrleansCache.Grains.Tests.Hosting;

/// <summary>Large values between a gateway and its silo, over Orleans's connections.</summary>
[Collection(nameof(CountsOfTheProcess))]
public sealed class LargeValueTests(ITestOutputHelper output)
{
    private const int ValueBytes = 100 * 1024;
    private const int Keys = 8;

    /// <summary>The heap of large objects is collected only with everything else, and its holes stay.</summary>
    [Fact]
    public async Task ReadsAndWritesLeaveTheHeapOfLargeObjectsAlone()
    {
        await using ClusterNodes cluster = new();
        ClusterNodeOptions silo = cluster.OptionsForNext();
        await cluster.StartNodeAsync(silo);
        ClusterNodeOptions options = cluster.OptionsForNext();
        await using ClusterNode gateway = new(options with { GatewayOnly = true, Join = [silo.SiloEndPoint], GatewayOrleansPort = silo.GatewayOrleansPort });
        await gateway.StartAsync(CancellationToken.None);
        HandLoop loop = new();
        RouterChannel channel = new ClusterRouter(64, null, gateway.TableCache, gateway.BatchTransport, TimeProvider.System).OpenChannel(loop);
        byte[][] keys = [.. Enumerable.Range(0, Keys).Select(i => Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"key-{i}")))];
        byte[] value = new byte[ValueBytes];
        new Random(1).NextBytes(value);
        RecordingSink[] sinks = [.. keys.Select(static _ => new RecordingSink())];
        Run(CacheOperation.Set, rounds: 10);
        Run(CacheOperation.Get, rounds: 10);

        const int Rounds = 50;
        using LargeObjectListener listener = new();
        Run(CacheOperation.Set, Rounds);
        long written = listener.Bytes;
        Run(CacheOperation.Get, Rounds);
        long read = listener.Bytes - written;
        const long Moved = (long)Rounds * Keys * ValueBytes;
        output.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{Moved >> 20} MiB each way; large objects: {written >> 20} MiB by writing, {read >> 20} MiB by reading"));
        Assert.All(sinks, sink => Assert.True(sink.Value.SequenceEqual(value)));

        // With a buffer of its own for each message it was all of it by writing, and more than twice as much by reading.
        Assert.True(written < Moved * 3 / 4 && read < Moved * 3 / 4, $"of {Moved} bytes each way: {written} by writing, {read} by reading");

        void Run(CacheOperation operation, int rounds)
        {
            for (int round = 0; round < rounds; round++)
            {
                int before = sinks[0].Calls;
                for (int i = 0; i < Keys; i++)
                {
                    CacheRequest request = new() { Operation = operation, Key = keys[i], KeyHash = channel.Hasher.Compute(keys[i]) };
                    if (operation == CacheOperation.Set)
                        request.Value = value;
                    else
                        request.Flags = RequestFlags.ReturnValue;
                    channel.Send(in request, sinks[i]);
                }

                channel.Flush();
                while (sinks.Any(sink => sink.Calls == before))
                    loop.RunOne();
                Assert.All(sinks, static sink => Assert.Equal(CacheStatus.Ok, sink.Status));
            }
        }
    }

    /// <summary>Adds up what the collector's allocation ticks say of large objects; there is one about every 100 KiB of them.</summary>
    private sealed class LargeObjectListener : EventListener
    {
        private const EventKeywords GarbageCollection = (EventKeywords)1;
        private long _bytes;

        public long Bytes => Interlocked.Read(ref _bytes);

        protected override void OnEventSourceCreated(EventSource eventSource)
        {
            if (eventSource.Name == "Microsoft-Windows-DotNETRuntime")
                EnableEvents(eventSource, EventLevel.Verbose, GarbageCollection);
        }

        protected override void OnEventWritten(EventWrittenEventArgs eventData)
        {
            const uint Large = 1;
            if (eventData.EventName?.StartsWith("GCAllocationTick", StringComparison.Ordinal) != true)
                return;
            object? kind = eventData.Payload![eventData.PayloadNames!.IndexOf("AllocationKind")];
            if (Convert.ToUInt32(kind, CultureInfo.InvariantCulture) == Large)
                Interlocked.Add(ref _bytes,
                    Convert.ToInt64(eventData.Payload[eventData.PayloadNames.IndexOf("AllocationAmount64")], CultureInfo.InvariantCulture));
        }
    }
}

/// <summary>Tests that count what the whole process does: no other test runs meanwhile.</summary>
[CollectionDefinition(nameof(CountsOfTheProcess), DisableParallelization = true)]
public sealed class CountsOfTheProcess;
