using System.Text;

namespace OrleansCache.Silo.Hosting;

/// <summary>--log-format.</summary>
internal enum LogFormat
{
    Text,
    Json,
}

/// <summary>
/// Standard error of a server. A line that cannot be written (a full disk, a pipe whose reader is gone) is lost, and nothing else: .NET's own writer would
/// throw, wherever somebody has something to say. What was lost is counted, and said as soon as a line gets through again. In the JSON format every
/// line is an object;
/// those that come as plain text are wrapped.
/// </summary>
internal sealed class StandardError : TextWriter
{
    private readonly Stream _stream;
    private readonly LogFormat _format;
    private readonly StringBuilder _partial = new();
    private long _lost;

    public StandardError(Stream stream, LogFormat format)
    {
        _stream = stream;
        _format = format;
    }

    public override Encoding Encoding => Encoding.UTF8;

    /// <summary>Console.Error of this process, from now on.</summary>
    public static void Install(LogFormat format) => Console.SetError(new StandardError(Console.OpenStandardError(), format));

    public override void Write(char value)
    {
        if (value != '\n')
        {
            _partial.Append(value);
            return;
        }

        string line = _partial.ToString();
        _partial.Clear();
        WriteWhole(line);
    }

    public override void Write(string? value)
    {
        foreach (char character in value ?? "")
            Write(character);
    }

    public override void WriteLine(string? value)
    {
        if (_partial.Length > 0)
        {
            value = _partial + value;
            _partial.Clear();
        }

        WriteWhole(value ?? "");
    }

    public override Task WriteLineAsync(string? value)
    {
        WriteLine(value);
        return Task.CompletedTask;
    }

    /// <summary>Of what a line says, as far as a plain line says it.</summary>
    private static string LevelOf(string line) =>
        line.StartsWith("warning", StringComparison.OrdinalIgnoreCase) ? "warning"
        : line.StartsWith("orleanscache: internal error", StringComparison.Ordinal) ? "error" : "info";

    private void WriteWhole(string line)
    {
        string whole = _format == LogFormat.Text || line.StartsWith('{') || line == Daemon.Marker ? line : JsonLine.Of(LevelOf(line), null, line, null, null);
        if (_lost > 0)
        {
            string lost = Options.Values.Invariant($"{_lost} lines could not be written here");
            whole = (_format == LogFormat.Text ? "warning: " + lost : JsonLine.Of("warning", null, lost, null, null)) + "\n" + whole;
        }

        try
        {
            _stream.Write(Encoding.UTF8.GetBytes(whole + "\n"));
            _lost = 0;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or NotSupportedException or ObjectDisposedException)
        {
            _lost++;
        }
    }
}
