using System.Diagnostics;
using System.Net;
using OrleansCache.HitRatio.Simulation;
using OrleansCache.HitRatio.Traces;

namespace OrleansCache.HitRatio.Replay;

/// <summary>What a replay saw.</summary>
public sealed record ReplayResult(HitCount Count, long FailedSets, string? FirstFailure, double Seconds, Dictionary<string, string> Stats)
{
    public long Statistic(string name) => Stats.TryGetValue(name, out string? text) && long.TryParse(text, out long value) ? value : 0;
}

/// <summary>
/// Replays a workload cache-aside over one connection: get, and on a miss set. With a depth of 1 the server sees exactly the trace: get, the set
/// if it missed, the next get. (A set is sent together with the get after it; the server executes them in that order.) With a depth of n the
/// gets of up to n different keys are sent together and the sets of those that missed after them; a key that comes again begins the next batch, so
/// that no request misses only because the set before it was late. That is faster and changes the order by n at most.
/// </summary>
public static class Replayer
{
    public static ReplayResult Run(Workload workload, IPEndPoint server, int depth)
    {
        int[] requests = workload.Trace.Requests;
        Span<byte> key = stackalloc byte[Workload.KeyBytesMax];
        key = key[..workload.KeyBytes];
        byte[] value = new byte[workload.ValueBytes.Max()];
        Array.Fill(value, (byte)'v');

        using var connection = new CacheConnection(server);
        var count = default(HitCount);
        int[] batchOfKey = new int[workload.Trace.KeyCount];
        int batch = 0;
        int setsInFlight = 0;
        long failedSets = 0;
        string? firstFailure = null;
        long start = Stopwatch.GetTimestamp();
        int position = 0;
        while (position < requests.Length)
        {
            batch++;
            int end = position;
            for (; end < requests.Length && end - position < depth && batchOfKey[requests[end]] != batch; end++)
            {
                batchOfKey[requests[end]] = batch;
                workload.WriteKey(requests[end], key);
                connection.AppendGet(key);
            }

            connection.Send();
            ReadSetReplies();
            for (; position < end; position++)
            {
                int request = requests[position];
                int valueBytes = connection.ReadGetReply();
                count = count.Add(position, requests.Length, valueBytes >= 0);
                if (valueBytes < 0)
                {
                    workload.WriteKey(request, key);
                    connection.AppendSet(key, value.AsSpan(0, workload.ValueBytes[request]));
                    setsInFlight++;
                }
                else if (valueBytes != workload.ValueBytes[request])
                    throw new InvalidDataException($"a value of {valueBytes} bytes where {workload.ValueBytes[request]} were stored");
            }
        }

        connection.Send();
        ReadSetReplies();
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        return new ReplayResult(count, failedSets, firstFailure, seconds, connection.ReadStats());

        void ReadSetReplies()
        {
            for (; setsInFlight > 0; setsInFlight--)
            {
                if (connection.ReadSetReply() is { } failure)
                {
                    failedSets++;
                    firstFailure ??= failure;
                }
            }
        }
    }
}
