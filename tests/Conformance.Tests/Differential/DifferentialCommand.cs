using System.Globalization;
using System.Text;

namespace OrleansCache.Conformance.Differential;

/// <summary>How a command stands among others in one write.</summary>
internal enum Pipelining
{
    /// <summary>May be sent together with others.</summary>
    Free,

    /// <summary>Must not follow a read of the same key in one write: memcached then sees the item in use and stores a new one, without padding.</summary>
    NotBehindReadOfKey,

    /// <summary>Is sent alone: memcached loses the replies of commands before it.</summary>
    Alone,

    /// <summary>
    /// Is the last one that its connection answers. Not behind a <see cref="DifferentialCommand.IsLarge"/>: whoever closes while something is unread resets the
    /// connection, and what of its replies has not left by then is lost.
    /// </summary>
    Last,

    /// <summary>The same, and is sent alone: memcached throws away what it has not sent yet.</summary>
    LastAndAlone,
}

/// <summary>
/// One command of a stream, data block included: bytes that are the same for every server, but for a CAS number, which each server hands out itself.
/// </summary>
/// <param name="Head">Bytes up to the CAS number; everything if there is none. Latin-1.</param>
/// <param name="CasKey">The key whose remembered CAS number stands between head and tail, or null.</param>
/// <param name="CasAge">0 for the number seen last, 1 for the one before.</param>
/// <param name="Tail">Bytes behind the CAS number.</param>
/// <param name="Keys">The keys that the command names, for <see cref="Pipelining.NotBehindReadOfKey"/>.</param>
/// <param name="IsRead">It answers with values.</param>
/// <param name="Pipelining">How it may be sent.</param>
internal record DifferentialCommand(
    string Head, string? CasKey = null, int CasAge = 0, string Tail = "", string[]? Keys = null, bool IsRead = false, Pipelining Pipelining = Pipelining.Free)
{
    private const int ShownCharactersMax = 160;

    /// <summary>Its reply may be larger than what a socket holds.</summary>
    public bool IsLarge { get; init; }

    public bool IsLast => Pipelining is Pipelining.Last or Pipelining.LastAndAlone;

    public void Render(StringBuilder target, CasMemory memory)
    {
        target.Append(Head);
        if (CasKey is not null)
            target.Append(memory.Number(CasKey, CasAge));
        target.Append(Tail);
    }

    public override string ToString() =>
        Show(Head + (CasKey is null ? "" : string.Create(CultureInfo.InvariantCulture, $"{{cas of {CasKey}, age {CasAge}}}")) + Tail);

    /// <summary>Text for a message: control characters escaped, the middle of long text left out.</summary>
    public static string Show(string text)
    {
        if (text.Length > ShownCharactersMax)
            text = string.Create(CultureInfo.InvariantCulture, $"{text[..120]}...({text.Length} characters)...{text[^20..]}");
        var shown = new StringBuilder();
        foreach (char character in text)
        {
            shown.Append(character switch
            {
                '\r' => "\\r",
                '\n' => "\\n",
                '\t' => "\\t",
                < ' ' or > '~' => string.Create(CultureInfo.InvariantCulture, $"\\x{(int)character:x2}"),
                _ => character,
            });
        }

        return shown.ToString();
    }
}

/// <summary>
/// The CAS numbers that one server handed out, by key. Numbers differ from server to server; what must be alike is which of a key's numbers are equal,
/// so each is replaced by the rank of its first appearance under its key.
/// </summary>
internal sealed class CasMemory
{
    private readonly Dictionary<string, List<string>> _seen = [];
    private readonly Dictionary<string, List<string>> _latest = [];

    /// <summary>The number seen last (age 0) or before the last (age 1); one that no item has if there was none.</summary>
    public string Number(string key, int age) =>
        _latest.TryGetValue(key, out List<string>? numbers) && numbers.Count > age ? numbers[^(age + 1)] : "12345678901234567890";

    /// <summary>Remembers a number and returns its rank.</summary>
    public int Rank(string key, string number)
    {
        if (!_seen.TryGetValue(key, out List<string>? seen))
            (_seen[key], _latest[key]) = (seen = [], []);
        List<string> latest = _latest[key];
        if (latest.Count == 0 || latest[^1] != number)
            latest.Add(number);
        int rank = seen.IndexOf(number);
        if (rank >= 0)
            return rank;
        seen.Add(number);
        return seen.Count - 1;
    }
}
