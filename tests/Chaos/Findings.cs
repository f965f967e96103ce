using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;

namespace OrleansCache.Chaos;

/// <summary>What the clients have seen, counted from all of their threads.</summary>
internal sealed class Findings
{
    private const int ComplaintsMax = 200;

    private readonly ConcurrentQueue<string> _complaints = new();
    private readonly Stopwatch _watch = Stopwatch.StartNew();
    private long _operations;
    private long _refusals;
    private long _cuts;
    private long _misses;
    private long _lost;
    private long _stale;
    private long _foreign;
    private long _late;
    private long _old;
    private long _refusalsApart;
    private long _cutsApart;
    private long _wrongEnds;
    private long _slow;

    public long Operations => Interlocked.Read(ref _operations);

    /// <summary>Answered with an error.</summary>
    public long Refusals => Interlocked.Read(ref _refusals);

    /// <summary>No answer: the connection ended.</summary>
    public long Cuts => Interlocked.Read(ref _cuts);

    /// <summary>Items that were written once and were not found; each item once.</summary>
    public long Misses => Interlocked.Read(ref _misses);

    /// <summary>Acknowledged writes that are gone.</summary>
    public long Lost => Interlocked.Read(ref _lost);

    /// <summary>Reads that gave something older than what had been acknowledged or read before.</summary>
    public long Stale => Interlocked.Read(ref _stale);

    /// <summary>Reads that gave what was never written to this key.</summary>
    public long Foreign => Interlocked.Read(ref _foreign);

    /// <summary>Writes without an answer that took effect after a later one had been acknowledged. Allowed, and rare.</summary>
    public long Late => Interlocked.Read(ref _late);

    /// <summary>Reads through a silo that was cut off that gave what had been replaced elsewhere, while its lease allowed that.</summary>
    public long Old => Interlocked.Read(ref _old);

    /// <summary>Those of <see cref="Refusals"/> that came from a silo that was cut off.</summary>
    public long RefusalsApart => Interlocked.Read(ref _refusalsApart);

    /// <summary>Those of <see cref="Cuts"/> at a silo that was cut off.</summary>
    public long CutsApart => Interlocked.Read(ref _cutsApart);

    /// <summary>Silos that ended by themselves in another way than is documented.</summary>
    public long WrongEnds => Interlocked.Read(ref _wrongEnds);

    public bool IsClean => WrongEnds == 0 && Misses == 0 && Lost == 0 && Stale == 0 && Foreign == 0;

    public IEnumerable<string> Complaints => _complaints;

    public double NowMilliseconds => _watch.Elapsed.TotalMilliseconds;

    public void CountOperations(int count) => Interlocked.Add(ref _operations, count);

    public void NoteRefusal(string what, bool isApart = false)
    {
        Note(ref _refusals, "refused", what);
        if (isApart)
            Interlocked.Increment(ref _refusalsApart);
    }

    public void NoteCut(bool isApart = false)
    {
        Interlocked.Increment(ref _cuts);
        if (isApart)
            Interlocked.Increment(ref _cutsApart);
    }

    public void NoteOldValue() => Interlocked.Increment(ref _old);

    /// <summary>Nothing wrong, and worth a look.</summary>
    public void NoteSlow(string what) => Note(ref _slow, "slow", what);

    public void NoteWrongEnd(string what) => Note(ref _wrongEnds, "WRONG END", what);

    public void NoteMiss(string what) => Note(ref _misses, "missing", what);

    public void NoteLost(string what) => Note(ref _lost, "LOST", what);

    public void NoteStale(string what) => Note(ref _stale, "STALE", what);

    public void NoteForeign(string what) => Note(ref _foreign, "FOREIGN", what);

    public void NoteLate(string what) => Note(ref _late, "late", what);

    /// <summary>Whether the line is about more than an error or a wait.</summary>
    public static bool IsWrong(string complaint) =>
        !complaint.Contains(" refused: ", StringComparison.Ordinal) && !complaint.Contains(" slow: ", StringComparison.Ordinal);

    private void Note(ref long counter, string word, string what)
    {
        Interlocked.Increment(ref counter);
        _complaints.Enqueue(string.Create(CultureInfo.InvariantCulture, $"{NowMilliseconds / 1000:f3} s {word}: {what}"));

        // What is wrong is worth more than one refusal among thousands.
        while (_complaints.Count > ComplaintsMax && _complaints.TryDequeue(out string? oldest))
        {
            if (!oldest.Contains(" refused: ", StringComparison.Ordinal) && _complaints.Count < 10 * ComplaintsMax)
            {
                _complaints.Enqueue(oldest);
                break;
            }
        }
    }
}
