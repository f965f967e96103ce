using OrleansCache.Silo.Options;

namespace OrleansCache.Silo.Tests;

public sealed class HelpTests
{
    [Fact]
    public void TheHelpNamesEveryOption()
    {
        string help = HelpText.Help("1.2.3");

        Assert.All(OptionTable.Shown, option => Assert.Contains("--" + option.Long, help, StringComparison.Ordinal));
        Assert.All(OptionTable.All.Where(option => option.Short != '\0'), option => Assert.Contains($"  -{option.Short}, --", help, StringComparison.Ordinal));
        Assert.All(ExtendedOptions.All, option => Assert.Contains(option.Name, help, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("ssl_chain_cert=<file>")]
    [InlineData("ssl_min_version=<version>")]
    [InlineData("idle_timeout=<num>")]
    public void TheHelpSaysWhatStandsForAValue(string words) => Assert.Contains(words, HelpText.Help("1.2.3"), StringComparison.Ordinal);

    [Fact]
    public void TheHelpFitsATerminal() => Assert.All(HelpText.Help("1.2.3").Split('\n'), line => Assert.True(line.Length <= 105, line));

    [Fact]
    public void TheOptionsPageIsTheTable()
    {
        string path = Path.Combine(ProductProcess.Root, "docs", "options.md");

        Assert.True(
            File.ReadAllText(path) == HelpText.Page(),
            "docs/options.md is not what the option table says; make it again: dotnet run --project src/Silo -- options-page > docs/options.md");
    }
}
