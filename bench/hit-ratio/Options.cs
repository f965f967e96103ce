using System.Globalization;

namespace OrleansCache.HitRatio;

/// <summary>Options of the form --name value. Every name that no one has asked for is an error.</summary>
public sealed class Options
{
    private readonly Dictionary<string, string> _values = [];
    private readonly HashSet<string> _known = [];

    public Options(IReadOnlyList<string> arguments)
    {
        for (int i = 0; i < arguments.Count; i += 2)
        {
            if (!arguments[i].StartsWith("--", StringComparison.Ordinal) || i + 1 == arguments.Count)
                throw new FormatException($"{arguments[i]}: expected --name value");
            _values[arguments[i][2..]] = arguments[i + 1];
        }
    }

    public string? Text(string name)
    {
        _known.Add(name);
        return _values.GetValueOrDefault(name);
    }

    public string Text(string name, string fallback) => Text(name) ?? fallback;

    public int Number(string name, int fallback) =>
        Text(name) is not { } text ? fallback
            : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number
            : throw new FormatException($"--{name} {text}: not a number");

    public int RequiredNumber(string name) =>
        Text(name) is null ? throw new FormatException($"--{name} is missing") : Number(name, 0);

    public double Fraction(string name, double fallback) =>
        Text(name) is { } text ? double.Parse(text, CultureInfo.InvariantCulture) : fallback;

    public int[] Numbers(string name, int fallback) =>
        Text(name) is { } text ? [.. text.Split(',').Select(part => int.Parse(part, CultureInfo.InvariantCulture))] : [fallback];

    /// <summary>Called when all options have been asked for.</summary>
    public void RejectUnknown()
    {
        if (_values.Keys.Except(_known).FirstOrDefault() is { } unknown)
            throw new FormatException($"--{unknown}: no such option here");
    }
}
