namespace OrleansCache.HitRatio.Simulation;

/// <summary>
/// A cache of so many bytes that is asked for keys one after another. A miss stores the key at once (cache-aside). An item that is larger
/// than the whole cache is not stored. Non-goals: speed, memory, threads.
/// </summary>
public interface ICacheSimulation
{
    /// <summary>Asks for the key of the request at that position of the trace; true if it is there.</summary>
    bool Access(int position, int key);

    /// <summary>The bytes of what is stored now; never more than the capacity after an access.</summary>
    long Bytes { get; }
}

/// <summary>Requests and hits of a run, and those of its second half, when the cache is warm.</summary>
public readonly record struct HitCount(int Requests, int Hits, int SecondHalfRequests, int SecondHalfHits)
{
    public double Ratio => Requests == 0 ? 0 : (double)Hits / Requests;

    public double SecondHalfRatio => SecondHalfRequests == 0 ? 0 : (double)SecondHalfHits / SecondHalfRequests;

    /// <summary>Counts the request at a position of a trace of so many requests.</summary>
    public HitCount Add(int position, int requestCount, bool isHit)
    {
        int hit = isHit ? 1 : 0;
        int late = position >= requestCount / 2 ? 1 : 0;
        return new HitCount(Requests + 1, Hits + hit, SecondHalfRequests + late, SecondHalfHits + (hit & late));
    }
}
