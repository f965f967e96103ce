using System.Text.Json;
using OrleansCache.Cli;
using OrleansCache.Silo.Options;

namespace OrleansCache.Silo.Tests;

/// <summary>The commands for operators, as the program runs them.</summary>
public sealed class OperatorTests
{
    [Fact]
    public void TheProgramKnowsEveryVerbByName()
    {
        Assert.Equal(Verbs.All.Select(verb => verb.Name), Operator.Names);
        Assert.All(Operator.Names, name => Assert.Contains(name, HelpText.Help(), StringComparison.Ordinal));
    }

    [Fact]
    public void HelpOfAVerbIsItsPage()
    {
        Assert.StartsWith("Usage: orleanscache status", ProductProcess.Run("help status").Output, StringComparison.Ordinal);
        Assert.StartsWith("Usage: orleanscache top", ProductProcess.Run("top --help").Output, StringComparison.Ordinal);
        Assert.Contains("did you mean 'status'?", ProductProcess.Run("statsu").Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AServerThatWantsALoginIsAskedWithOne()
    {
        string passwords = Path.Combine(Path.GetTempPath(), $"orleanscache-passwords-{Guid.NewGuid():N}");
        await File.WriteAllTextAsync(passwords, "ann:secret\n");
        try
        {
            using ProductProcess product = await ProductProcess.StartAsync($"-l 127.0.0.1 -p -1 -Y {passwords}");
            string server = (await product.EndPointAsync()).ToString();

            (int code, string output, _) = ProductProcess.Run($"status --json --server {server} --password-file {passwords}");
            Assert.Equal(0, code);
            using JsonDocument json = JsonDocument.Parse(output);
            Assert.Equal("OK", json.RootElement.GetProperty("status").GetString());

            (int withoutCode, string without, _) = ProductProcess.Run("status", ("ORLEANSCACHE_SERVER", server));
            Assert.Equal(2, withoutCode);
            Assert.Contains("wants a login", without, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(passwords);
        }
    }

    [Fact]
    public void OptionsAreCheckedWithoutAStart()
    {
        (int code, string output, _) = ProductProcess.Run("check -- serve --prot 1");
        Assert.Equal(2, code);
        Assert.Contains("FAIL  options: Invalid value for binding protocol", output, StringComparison.Ordinal);
        Assert.Contains("options: valid", ProductProcess.Run("check -- serve -p 0 -s /tmp/none").Output, StringComparison.Ordinal);
    }
}
