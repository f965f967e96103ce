using System.Text.Json;
using OrleansCache.HitRatio.Traces;

namespace OrleansCache.HitRatio.Tests;

public sealed class ReportTests
{
    [Fact]
    public void SimulatedCasesStandInTheirOrderInTableAndJson()
    {
        string folder = Directory.CreateTempSubdirectory("hit-ratio-").FullName;
        try
        {
            File.WriteAllText(Path.Combine(folder, "b.trace"), "1\n2\n1\n2\n");
            File.WriteAllText(Path.Combine(folder, "a.lis"), "1 3 0 0\n1 1 0 1\n");
            string casesPath = Path.Combine(folder, "cases.txt");
            File.WriteAllText(casesPath, "# comment\nb.trace lirs 100 1 1\na.lis arc 100 2 4\n");
            var options = new Options(["--traces", folder, "--cases", casesPath, "--policies", "lru,belady"]);
            var suite = new Suite(options);
            options.RejectUnknown();
            var report = new Report(suite, []);
            foreach (Case one in Enumerable.Reverse(suite.Cases))
                report.Add(Comparison.Simulate(suite, one));

            using var table = new StringWriter();
            report.Print(table);
            string[] lines = [.. table.ToString().Split(Environment.NewLine).Where(line => line.Contains(" -m ", StringComparison.Ordinal))];
            Assert.StartsWith("b -m 1 x1", lines[0], StringComparison.Ordinal);
            Assert.StartsWith("a -m 2 x4", lines[1], StringComparison.Ordinal);

            using JsonDocument json = JsonDocument.Parse(report.ToJson());
            Assert.Equal(["b", "a"], json.RootElement.EnumerateArray().Select(row => row.GetProperty("Trace").GetString()!));
            Assert.Equal(0.5, json.RootElement[0].GetProperty("Policies").GetProperty("lru").GetProperty("Ratio").GetDouble());
            Assert.Equal(0.25, json.RootElement[1].GetProperty("Policies").GetProperty("belady").GetProperty("Ratio").GetDouble());
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [InlineData("--trace")]
    [InlineData("trace", "x")]
    [InlineData("--policies", "fifo")]
    [InlineData("--memory", "64", "--trace", "x", "--format", "nosuch")]
    [InlineData("--nosuch", "1")]
    public void OptionsThatMeanNothingAreRefused(params string[] arguments) =>
        Assert.Throws<FormatException>(() =>
        {
            var options = new Options(arguments);
            _ = new Suite(options);
            options.RejectUnknown();
        });

    [Fact]
    public void EveryCaseOfTheDefaultListCanBeRead()
    {
        List<Case> cases = Case.Read(Path.Combine(AppContext.BaseDirectory, "cases.txt"));
        Assert.InRange(cases.Count, 20, 30);
        Assert.All(cases, one => Assert.True(one is { MemoryMiB: > 0, Scale: 1 or 4 or 8, Format: >= TraceFormat.Arc }));
    }
}
