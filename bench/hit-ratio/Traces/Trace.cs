namespace OrleansCache.HitRatio.Traces;

/// <summary>
/// The requests of a trace in order. Keys are renumbered 0 .. KeyCount - 1 in the order of their first request, so that simulations
/// work on arrays; <see cref="KeyNumbers"/> has the numbers that the trace gave them, from which key text and value size follow.
/// </summary>
public sealed class Trace
{
    public required string Name { get; init; }

    /// <summary>The key of each request.</summary>
    public required int[] Requests { get; init; }

    /// <summary>The number that the trace gave to each key.</summary>
    public required ulong[] KeyNumbers { get; init; }

    public int KeyCount => KeyNumbers.Length;

    /// <summary>Takes at most so many of the requests and renumbers their keys.</summary>
    public static Trace From(string name, IEnumerable<ulong> keyNumbers, int requestsMax)
    {
        var keys = new Dictionary<ulong, int>();
        var requests = new List<int>();
        var numbers = new List<ulong>();
        foreach (ulong number in keyNumbers.Take(requestsMax))
        {
            if (!keys.TryGetValue(number, out int key))
            {
                key = numbers.Count;
                keys.Add(number, key);
                numbers.Add(number);
            }

            requests.Add(key);
        }

        return new Trace { Name = name, Requests = [.. requests], KeyNumbers = [.. numbers] };
    }
}
