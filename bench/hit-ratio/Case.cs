using System.Globalization;
using OrleansCache.HitRatio.Traces;

namespace OrleansCache.HitRatio;

/// <summary>One line of a file of cases: a trace, the memory and the scale of the value sizes.</summary>
public sealed record Case(string TraceFileName, TraceFormat Format, int RequestsMax, int MemoryMiB, int Scale)
{
    public static List<Case> Read(string path)
    {
        var cases = new List<Case>();
        foreach (string line in File.ReadLines(path).Select(line => line.Trim()).Where(line => line.Length > 0 && line[0] != '#'))
        {
            string[] fields = line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length != 5 || !Enum.TryParse(fields[1], ignoreCase: true, out TraceFormat format))
                throw new FormatException($"{path}: \"{line}\" is not: trace format requests MiB scale");
            cases.Add(new Case(fields[0], format, Number(fields[2]), Number(fields[3]), Number(fields[4])));
        }

        return cases;
    }

    private static int Number(string field) => int.Parse(field, NumberStyles.None, CultureInfo.InvariantCulture);
}
